package tidemill.peers;

import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.datagen.source.GeneratorFunction;

/**
 * The events of bench/events.c, number for number: impressions in the order of event time, {@code live} of them in one
 * window, documents Zipf over 10,000; 0.06 of them get one click, delayed exponentially with mean window / 4, at most
 * 3/2 windows. Both streams come out of one source, merged by time.
 */
final class Events implements GeneratorFunction<Long, Event> {
    static final int WINDOW_MS = 10_000;
    private static final int DOCS = 10_000;
    private static final int ZIPF_PLACES = 1 << 18;
    private static final double CLICKS = 0.06;
    private static final long START = 1_574_553_600_000L;
    private static final int COUNT_EVERY = 1024;

    private final int live;
    private final int payloadSize;
    private transient byte[] payload;
    private transient short[] zipf;
    private transient int[] due; // by sample at which they are due: a sample with a click, low half + 1; 0: none
    private transient int[] dueAfter; // by sample with a click: the next one in its list
    private transient long next;

    Events(int live, int payloadSize) {
        this.live = live;
        this.payloadSize = payloadSize;
    }

    @Override
    public void open(SourceReaderContext context) {
        int ring = Integer.highestOneBit(2 * live - 1) * 2;
        payload = new byte[payloadSize];
        due = new int[ring];
        dueAfter = new int[ring];
        zipf = makeZipf();
        next = 0;
    }

    private static short[] makeZipf() {
        short[] places = new short[ZIPF_PLACES];
        double total = 0;
        double below = 0;
        int place = 0;
        for (int i = 1; i <= DOCS; i++) {
            total += 1.0 / i;
        }
        for (int i = 1; i <= DOCS; i++) {
            below += 1.0 / i;
            for (; place < ZIPF_PLACES && place < below / total * ZIPF_PLACES; place++) {
                places[place] = (short) (i - 1);
            }
        }
        for (; place < ZIPF_PLACES; place++) {
            places[place] = DOCS - 1;
        }
        return places;
    }

    /** Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014), the finaliser of SplitMix64. */
    private static long mix(long x) {
        x += 0x9e3779b97f4a7c15L;
        x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
        x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
        return x ^ x >>> 31;
    }

    private static double unit(long bits) {
        return ((bits >>> 11) + 0.5) / (1L << 53);
    }

    private Event event(byte kind, long sample) {
        long bits = mix(sample);
        Event e = new Event();
        e.kind = kind;
        e.request = mix(sample * 4 + 1);
        e.doc = zipf[(int) (bits & (ZIPF_PLACES - 1))];
        e.user = (int) (bits >>> 32);
        e.version = (byte) (bits >>> 20 & 1);
        e.time = START + next * WINDOW_MS / live;
        return e;
    }

    private void planClick() {
        long bits = mix(next ^ 0xc11c);
        if (unit(bits) >= CLICKS) {
            return;
        }
        double windows = Math.min(-Math.log(unit(mix(bits))) / 4, 1.5);
        int at = (int) (next + 1 + (long) (windows * live) & due.length - 1);
        dueAfter[(int) (next & due.length - 1)] = due[at];
        due[at] = (int) next + 1;
    }

    @Override
    public Event map(Long index) {
        if (index % COUNT_EVERY == 0) {
            Progress.events.setRelease(index);
        }
        int slot = (int) (next & due.length - 1);
        if (due[slot] != 0) {
            long sample = next - Integer.toUnsignedLong((int) next - (due[slot] - 1));
            due[slot] = dueAfter[(int) (sample & due.length - 1)];
            return event(Event.CLICK, sample);
        }
        Event e = event(Event.IMPRESSION, next);
        e.payload = payload;
        planClick();
        next++;
        return e;
    }
}
