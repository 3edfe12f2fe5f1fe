package tidemill.peers;

import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;

/** A watermark behind every 1,024 events, as often as bench_join advances; by the clock they would be far too few. */
final class EveryEvents implements WatermarkGenerator<Event> {
    private static final int EVENTS = 1024;
    private int since;

    @Override
    public void onEvent(Event e, long time, WatermarkOutput output) {
        if (++since == EVENTS) {
            since = 0;
            output.emitWatermark(new Watermark(time - 1)); // more events of this millisecond may come
        }
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {
    }
}
