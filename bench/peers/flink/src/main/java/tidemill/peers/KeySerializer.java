package tidemill.peers;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** 12 bytes. */
final class KeySerializer extends TypeSerializerSingleton<Key> {
    private static final int LENGTH = 12;

    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Key> {
        public Snapshot() {
            super(KeySerializer::new);
        }
    }

    @Override
    public void serialize(Key key, DataOutputView out) throws IOException {
        out.writeLong(key.request());
        out.writeInt(key.doc());
    }

    @Override
    public Key deserialize(DataInputView in) throws IOException {
        return new Key(in.readLong(), in.readInt());
    }

    @Override
    public Key deserialize(Key reuse, DataInputView in) throws IOException {
        return deserialize(in);
    }

    @Override
    public void copy(DataInputView from, DataOutputView to) throws IOException {
        to.write(from, LENGTH);
    }

    @Override
    public Key copy(Key from) {
        return from;
    }

    @Override
    public Key copy(Key from, Key reuse) {
        return from;
    }

    @Override
    public Key createInstance() {
        return new Key(0, 0);
    }

    @Override
    public boolean isImmutableType() {
        return true;
    }

    @Override
    public int getLength() {
        return LENGTH;
    }

    @Override
    public TypeSerializerSnapshot<Key> snapshotConfiguration() {
        return new Snapshot();
    }
}
