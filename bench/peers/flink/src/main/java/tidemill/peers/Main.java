package tidemill.peers;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * One cell: MODE BACKEND LIVE-KEYS PAYLOAD-BYTES FOLDER. MODE is source (the generator alone), shuffle (and keyBy), or
 * join; BACKEND is hashmap or rocksdb; FOLDER, an absolute path, takes RocksDB's files and the checkpoints.
 */
public final class Main {
    private static final int WARM_WINDOWS = 2;
    private static final double EVENTS_PER_SAMPLE = 1.06;

    private Main() {
    }

    /** Parallelism 1, exactly-once checkpoints every 10 s to a local disk. */
    private static Configuration configuration(String backend, String folder) {
        Map<String, String> settings = new HashMap<>();
        settings.put("parallelism.default", "1");
        settings.put("pipeline.object-reuse", "true");
        settings.put("pipeline.generic-types", "false");
        settings.put("pipeline.auto-watermark-interval", "0 ms");
        settings.put("execution.runtime-mode", "STREAMING");
        settings.put("execution.checkpointing.interval", "10 s");
        settings.put("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.put("execution.checkpointing.storage", "filesystem");
        settings.put("execution.checkpointing.dir", "file://" + folder + "/checkpoints");
        settings.put("io.tmp.dirs", folder + "/tmp");
        settings.put("restart-strategy.type", "none");
        settings.put("state.backend.type", backend);
        if (backend.equals("rocksdb")) {
            settings.put("taskmanager.memory.managed.size", "1 gb");
            settings.put("execution.checkpointing.incremental", "true");
            settings.put("state.backend.rocksdb.localdir", folder + "/rocksdb");
            settings.put("state.backend.rocksdb.use-bloom-filter", "true");
            settings.put("state.backend.rocksdb.compression.per.level", "NO_COMPRESSION");
            settings.put("state.backend.rocksdb.timer-service.factory", "HEAP");
        }
        return Configuration.fromMap(settings);
    }

    /** keyBy and nothing behind it. */
    private static final class Forget extends KeyedProcessFunction<Key, Event, Event> {
        @Override
        public void processElement(Event e, Context context, Collector<Event> out) {
        }
    }

    private static DataStream<Event> source(StreamExecutionEnvironment env, int live, int payload) {
        WatermarkStrategy<Event> time = WatermarkStrategy.<Event>forGenerator(context -> new EveryEvents())
                .withTimestampAssigner((e, before) -> e.time);
        return env.fromSource(new DataGeneratorSource<>(new Events(live, payload), Long.MAX_VALUE, PlainType.EVENT),
                time, "events");
    }

    private static DataStream<Event> pipeline(String mode, DataStream<Event> events) {
        switch (mode) {
            case "source":
                return events;
            case "shuffle":
                return events.keyBy(Event::key, PlainType.KEY).process(new Forget(), PlainType.EVENT);
            case "join":
                return events.keyBy(Event::key, PlainType.KEY).process(new Join(), PlainType.EVENT);
            default:
                throw new IllegalArgumentException(mode + ": expected source, shuffle or join");
        }
    }

    public static void main(String[] arguments) throws Exception {
        int live = Integer.parseInt(arguments[2]);
        int payload = Integer.parseInt(arguments[3]);
        Configuration configuration = configuration(arguments[1], arguments[4]);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(configuration);
        pipeline(arguments[0], source(env, live, payload)).sinkTo(new DiscardingSink<>());
        JobClient job = env.executeAsync("join");
        job.getJobExecutionResult().whenComplete((result, failure) -> {
            System.err.println("the job ended by itself: " + failure);
            Runtime.getRuntime().halt(1); // the meter would wait for events that do not come
        });
        System.out.println(Meter.measure((long) (WARM_WINDOWS * EVENTS_PER_SAMPLE * live)));
        System.out.flush();
        Runtime.getRuntime().halt(0); // the generator never ends, and its state is not wanted
    }
}
