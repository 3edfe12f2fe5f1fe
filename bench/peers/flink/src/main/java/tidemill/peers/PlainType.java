package tidemill.peers;

import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;

/** Tells Flink that a class has a serializer written for it, so that nothing is found out by reflection or by Kryo. */
final class PlainType<T> extends TypeInformation<T> {
    static final PlainType<Event> EVENT = new PlainType<>(Event.class, new EventSerializer());
    static final PlainType<Key> KEY = new PlainType<>(Key.class, new KeySerializer());

    private final Class<T> type;
    private final TypeSerializer<T> serializer;

    private PlainType(Class<T> type, TypeSerializer<T> serializer) {
        this.type = type;
        this.serializer = serializer;
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
        return serializer;
    }

    @Override
    public Class<T> getTypeClass() {
        return type;
    }

    @Override
    public boolean isBasicType() {
        return false;
    }

    @Override
    public boolean isTupleType() {
        return false;
    }

    @Override
    public boolean isKeyType() {
        return type == Key.class;
    }

    @Override
    public int getArity() {
        return 1;
    }

    @Override
    public int getTotalFields() {
        return 1;
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof PlainType;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PlainType<?> plain && plain.type == type;
    }

    @Override
    public int hashCode() {
        return type.hashCode();
    }

    @Override
    public String toString() {
        return type.getSimpleName();
    }
}
