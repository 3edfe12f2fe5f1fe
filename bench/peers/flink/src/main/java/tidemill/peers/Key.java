package tidemill.peers;

/** What the streams are joined by. */
record Key(long request, int doc) {
}
