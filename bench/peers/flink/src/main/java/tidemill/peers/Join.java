package tidemill.peers;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * The join: an impression waits for its click until the watermark has passed its time + window; then it is a sample. A
 * click that comes first waits for its impression just as long.
 */
final class Join extends KeyedProcessFunction<Key, Event, Event> implements CheckpointListener {
    private transient ValueState<Event> waiting;

    @Override
    public void open(OpenContext context) {
        waiting = getRuntimeContext().getState(new ValueStateDescriptor<>("waiting", PlainType.EVENT));
    }

    @Override
    public void processElement(Event e, Context context, Collector<Event> out) throws Exception {
        long end = e.time + Events.WINDOW_MS;
        if (end <= context.timerService().currentWatermark()) {
            return; // late
        }
        Event before = waiting.value();
        if (before == null) {
            wait(e, end, context);
        } else if (before.kind == Event.IMPRESSION && e.kind == Event.CLICK) {
            if (e.time <= before.time + Events.WINDOW_MS) {
                before.clicked = true;
                waiting.update(before);
            }
        } else if (before.kind == Event.CLICK && e.kind == Event.IMPRESSION) {
            e.clicked = before.time <= end;
            wait(e, end, context);
        } // else a duplicate
    }

    private void wait(Event e, long end, Context context) throws Exception {
        waiting.update(e);
        context.timerService().registerEventTimeTimer(end);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Event> out) throws Exception {
        Event e = waiting.value();
        if (e == null || time != e.time + Events.WINDOW_MS) {
            return; // the timer of a click whose impression came
        }
        if (e.kind == Event.CLICK) {
            Progress.orphans.setRelease(Progress.orphans.getPlain() + 1);
        } else {
            Progress.samples.setRelease(Progress.samples.getPlain() + 1);
            Progress.positives.setRelease(Progress.positives.getPlain() + (e.clicked ? 1 : 0));
            out.collect(e);
        }
        waiting.clear();
    }

    @Override
    public void notifyCheckpointComplete(long id) {
        Progress.checkpoints.incrementAndGet();
    }
}
