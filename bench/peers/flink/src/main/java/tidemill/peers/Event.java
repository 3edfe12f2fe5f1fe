package tidemill.peers;

/** One record of either stream, and what the join keeps of it: an impression with its payload, or a click. */
final class Event {
    static final byte IMPRESSION = 0;
    static final byte CLICK = 1;
    static final byte[] NO_PAYLOAD = new byte[0];

    byte kind;
    byte version;
    boolean clicked; // in state and in samples: the label of an impression
    int doc;
    int user;
    long request;
    long time; // ms since 1970
    byte[] payload = NO_PAYLOAD; // never written to, so copies share it

    Key key() {
        return new Key(request, doc);
    }
}
