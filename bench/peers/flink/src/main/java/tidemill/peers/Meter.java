package tidemill.peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Locale;

/**
 * Measures the whole JVM (garbage collection, compilation, checkpoints, RocksDB's threads) in stretches of wall time
 * that begin when the state has its size.
 */
final class Meter {
    private static final int STRETCHES = 3;
    private static final long STRETCH_MS = 10_000;
    private static final long WARM_MS = 10_000; // at least: the JIT compiler's

    private Meter() {
    }

    private static long cpuNs() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** Waits for the warm-up, measures, and returns one line of JSON. */
    static String measure(long warmEvents) throws InterruptedException {
        double[] cpu = new double[STRETCHES];
        double[] wall = new double[STRETCHES];
        long began = System.nanoTime();
        Thread.sleep(WARM_MS);
        while (Progress.events.getAcquire() < warmEvents) {
            Thread.sleep(100);
        }
        double warm = (System.nanoTime() - began) / 1e9;
        long checkpoints = Progress.checkpoints.get();
        for (int i = 0; i < STRETCHES; i++) {
            long events = Progress.events.getAcquire();
            long cpuBegan = cpuNs();
            long wallBegan = System.nanoTime();
            Thread.sleep(STRETCH_MS);
            double counted = Progress.events.getAcquire() - events;
            cpu[i] = (cpuNs() - cpuBegan) / 1e3 / counted;
            wall[i] = (System.nanoTime() - wallBegan) / 1e3 / counted;
        }
        return String.format(Locale.ROOT,
                "{\"cpu_us\": %s, \"wall_us\": %s, \"warm_s\": %.1f, \"events\": %d, \"samples\": %d, "
                        + "\"positives\": %d, \"orphans\": %d, \"checkpoints\": %d}",
                Arrays.toString(cpu), Arrays.toString(wall), warm, Progress.events.get(), Progress.samples.get(),
                Progress.positives.get(), Progress.orphans.get(), Progress.checkpoints.get() - checkpoints);
    }
}
