package tidemill.peers;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** 27 bytes, the payload's length in 4, the payload. */
final class EventSerializer extends TypeSerializerSingleton<Event> {
    private static final int FIXED = 27;

    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Event> {
        public Snapshot() {
            super(EventSerializer::new);
        }
    }

    @Override
    public void serialize(Event e, DataOutputView out) throws IOException {
        out.writeByte(e.kind);
        out.writeByte(e.version);
        out.writeBoolean(e.clicked);
        out.writeInt(e.doc);
        out.writeInt(e.user);
        out.writeLong(e.request);
        out.writeLong(e.time);
        out.writeInt(e.payload.length);
        out.write(e.payload);
    }

    @Override
    public Event deserialize(DataInputView in) throws IOException {
        return deserialize(new Event(), in);
    }

    @Override
    public Event deserialize(Event e, DataInputView in) throws IOException {
        e.kind = in.readByte();
        e.version = in.readByte();
        e.clicked = in.readBoolean();
        e.doc = in.readInt();
        e.user = in.readInt();
        e.request = in.readLong();
        e.time = in.readLong();
        int length = in.readInt();
        e.payload = length == 0 ? Event.NO_PAYLOAD : new byte[length];
        in.readFully(e.payload);
        return e;
    }

    @Override
    public void copy(DataInputView from, DataOutputView to) throws IOException {
        to.write(from, FIXED);
        int length = from.readInt();
        to.writeInt(length);
        to.write(from, length);
    }

    @Override
    public Event copy(Event from) {
        return copy(from, new Event());
    }

    @Override
    public Event copy(Event from, Event to) {
        to.kind = from.kind;
        to.version = from.version;
        to.clicked = from.clicked;
        to.doc = from.doc;
        to.user = from.user;
        to.request = from.request;
        to.time = from.time;
        to.payload = from.payload;
        return to;
    }

    @Override
    public Event createInstance() {
        return new Event();
    }

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public int getLength() {
        return -1;
    }

    @Override
    public TypeSerializerSnapshot<Event> snapshotConfiguration() {
        return new Snapshot();
    }
}
