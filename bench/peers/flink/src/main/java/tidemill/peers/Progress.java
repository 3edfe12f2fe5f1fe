package tidemill.peers;

import java.util.concurrent.atomic.AtomicLong;

/** What the operators tell the thread that measures, all in one JVM. */
final class Progress {
    static final AtomicLong events = new AtomicLong(); // made by the source
    static final AtomicLong samples = new AtomicLong();
    static final AtomicLong positives = new AtomicLong();
    static final AtomicLong orphans = new AtomicLong(); // clicks whose impression never came, or was decided before
    static final AtomicLong checkpoints = new AtomicLong();

    private Progress() {
    }
}
