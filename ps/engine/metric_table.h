/* ps/engine/metric_table.h - the one table of metrics: exporter and docs/metrics.md are loops over its rows.
 *
 * Names    as https://prometheus.io/docs/practices/naming: prefix tidemill_, base units, _total for what only grows.
 *          Calls and the process have the names that existing dashboards know.
 * Labels   separated by commas, in the order in which METRIC_LABELS gives their values. Their number of values is
 *          bounded: streams, versions (the first METRIC_VERSIONS_MAX by number, the rest together; of their validations
 *          the first METRIC_VALIDATIONS_MAX), methods, codes, reasons; never documents, users or requests.
 * New ones a row here, and one line of filling: metric_count, metric_value or metric_histogram in engine_metrics.c or
 *          ps/server/server_metrics.c, where their part is read; then ./run docs. */
#ifndef TIDEMILL_PS_ENGINE_METRIC_TABLE_H
#define TIDEMILL_PS_ENGINE_METRIC_TABLE_H

/* clang-format off */
/*    group, id, name, type, labels, help */
#define METRICS(M)                                                                                                    \
    M("Events", STREAM_CONSUMED, "tidemill_stream_consumed_events_total", COUNTER, "stream",                          \
      "Events taken from the log, as of the shards' last commits: the sum of all fates and of what waits")            \
    M("Events", STREAM_EVENTS, "tidemill_stream_events_total", COUNTER, "stream,fate",                                \
      "What became of the events, as of the shards' last commits")                                                    \
    M("Events", STREAM_WAITING, "tidemill_stream_waiting_events", GAUGE, "stream", "Events that are not settled yet") \
    M("Events", STREAM_GIVEN_UP, "tidemill_stream_given_up_total", COUNTER, "stream",                                 \
      "Decided impressions that were forgotten before their time: memory.corrections was full")                       \
    M("Events", STREAM_CROWDED_OUT, "tidemill_stream_crowded_out_total", COUNTER, "stream",                           \
      "Impressions that actions are no longer attributed to: of their action key there are 32 newer ones")            \
    M("Events", STREAM_IMBALANCE, "tidemill_stream_imbalance_events", GAUGE, "stream",                                \
      "Consumed less fates less waiting: anything but 0 is a bug")                                                    \
    M("Events", STREAM_WATERMARK, "tidemill_stream_watermark_timestamp_seconds", GAUGE, "stream",                     \
      "Event time up to which the stream is complete; absent: none yet")                                              \
    M("Events", STREAM_LAG, "tidemill_stream_watermark_lag_seconds", GAUGE, "stream",                                 \
      "How far the watermark is behind the wall clock; below 0: ahead of it, as after an end mark")                   \
    M("Events", STREAM_HOLDER, "tidemill_stream_holder_info", GAUGE, "stream,client,instance,lane",                   \
      "1; the live producer with the least watermark, which holds the stream back")                                   \
    M("Events", STREAM_HOLDER_SILENT, "tidemill_stream_holder_silent_seconds", GAUGE, "stream",                       \
      "For how long that producer has sent nothing")                                                                  \
    M("Events", GATE, "tidemill_gate_timestamp_seconds", GAUGE, "",                                                   \
      "Event time up to which every shard has decided all samples; absent: nothing yet")                              \
    M("Events", UNDECIDED, "tidemill_undecided_samples", GAUGE, "", "Impressions that wait for their decision")       \
    M("Events", DECIDED, "tidemill_decided_samples", GAUGE, "", "Decided samples that may still be corrected")        \
    M("Events", SAMPLE_LOG, "tidemill_sample_log_samples_total", COUNTER, "",                                         \
      "Samples and corrections in the sample logs of all shards")                                                     \
    M("Events", KEPT_BYTES, "tidemill_kept_samples_bytes", GAUGE, "",                                                 \
      "Bytes on disk of the samples that samples.retain keeps")                                                       \
    M("Events", UNDECIDED_BYTES, "tidemill_undecided_bytes", GAUGE, "",                                               \
      "Memory of keys that wait for their decision, with all that waits for it")                                      \
    M("Events", DOOR_CLOSED, "tidemill_door_closed_shards", GAUGE, "",                                                \
      "Shards that let no impressions and features in, because too many wait for decisions (memory.join)")            \
    M("Events", DOOR_REFUSED, "tidemill_door_refused_batches_total", COUNTER, "",                                     \
      "Batches refused because of that")                                                                              \
    M("Events", STREAM_TABLE_LATE, "tidemill_stream_table_late_rows_total", COUNTER, "stream",                        \
      "Rows of tables that were stored after samples they were for had been decided without them")                    \
    M("Events", TABLE_ROWS_WRITTEN, "tidemill_table_rows_written_total", COUNTER, "",                                 \
      "Rows of tables that were stored")                                                                              \
    M("Events", TABLE_ROWS_REMOVED, "tidemill_table_rows_removed_total", COUNTER, "",                                 \
      "Rows of tables that were removed because newer ones had superseded them for every sample to come")             \
    M("Events", TABLE_LOOKUPS, "tidemill_table_lookups_total", COUNTER, "", "Rows of tables looked up for samples")   \
    M("Events", TABLE_MISSES, "tidemill_table_cache_misses_total", COUNTER, "",                                       \
      "Keys of tables that were not cached, or not far enough back, and were read from the disk")                     \
    M("Events", TABLE_CACHE, "tidemill_table_cache_bytes", GAUGE, "",                                                 \
      "Rows of tables in memory; memory.lookup is the limit")                                                         \
    M("Events", JOIN_DELAY, "tidemill_join_delay_seconds", HISTOGRAM, "stream",                                       \
      "From an impression to its action, in event time: the matched actions, as of the shards' last commits; those "  \
      "before their impression count as 0")                                                                           \
    M("Events", FRESHNESS, "tidemill_freshness_seconds", HISTOGRAM, "",                                               \
      "From the moment a batch is handed to the log until every thread has applied its block: the oldest batch of "   \
      "each block")                                                                                                   \
                                                                                                                      \
    M("Versions", VERSION_SAMPLES, "tidemill_version_samples_total", COUNTER, "version,kind",                         \
      "Samples that came to the version, kind new or correction, as of the shards' last commits: the sum of the "     \
      "next two")                                                                                                     \
    M("Versions", VERSION_SETTLED, "tidemill_version_settled_samples_total", COUNTER, "version,kind,fate",            \
      "Samples that are done: learned, or skipped")                                                                   \
    M("Versions", VERSION_PENDING, "tidemill_version_pending_samples", GAUGE, "version,kind,fate",                    \
      "Samples that will be learned: in an open batch or waiting for their turn, or held while the version is "       \
      "paused or catches up")                                                                                         \
    M("Versions", VERSION_SKIPPED, "tidemill_version_skipped_samples_total", COUNTER, "version,kind,reason",         \
      "Samples that will never be learned, by reason; the sum is the fate skipped")                                  \
    M("Versions", VERSION_CLAMPED, "tidemill_version_clamped_samples_total", COUNTER, "version,kind",                 \
      "Learned samples whose reward was cut to what the model takes")                                                 \
    M("Versions", VERSION_IMBALANCE, "tidemill_version_imbalance_samples", GAUGE, "version",                          \
      "Samples less settled less pending: anything but 0 is a bug")                                                   \
    M("Versions", VERSION_DOCUMENTS, "tidemill_version_documents", GAUGE, "version", "Documents with parameters")     \
    M("Versions", VERSION_BYTES, "tidemill_version_bytes", GAUGE, "version",                                          \
      "Memory for these parameters: about 60 bytes a document of a Beta version")                                     \
    M("Versions", VERSION_REPAIRS, "tidemill_version_repairs_total", COUNTER, "version",                             \
      "How often a guard of the model had to mend a parameter, as of the shards' last commits")                      \
    M("Versions", VERSION_BATCHES, "tidemill_version_batches_total", COUNTER, "version,trigger",                     \
      "Batches learned, by what fired them (samples, ratio, age; room: early, beyond memory.batches); with order: "  \
      "event_time also turns (samples and corrections taken early, for the same reason) and behind (samples of "     \
      "impressions behind the watermark); of versions whose samples wait")                                           \
    M("Versions", VERSION_OPEN_BATCHES, "tidemill_version_open_batches", GAUGE, "version",                           \
      "Batches that are open, of versions whose samples wait")                                                       \
    M("Versions", VERSION_PAUSED, "tidemill_version_paused", GAUGE, "version", "1 while the version is paused")      \
    M("Versions", VERSION_CATCHING_UP, "tidemill_version_catching_up_samples", GAUGE, "version",                     \
      "Samples that were held and are being learned; 0 while it is paused")                                          \
    M("Versions", IMBALANCE, "tidemill_conservation_imbalance", GAUGE, "",                                            \
      "Sum of all imbalances of all shards, each without its sign: anything but 0 is a bug")                          \
                                                                                                                      \
    M("Validation", VALIDATION_SAMPLES, "tidemill_validation_samples", GAUGE, "version,kind,window",                 \
      "Samples whose prediction was judged; validate: on")                                                           \
    M("Validation", VALIDATION_LOSS, "tidemill_validation_log_loss", GAUGE, "version,kind,window",                   \
      "Mean logarithmic loss of the predictions, in nats")                                                           \
    M("Validation", VALIDATION_NE, "tidemill_validation_normalised_entropy", GAUGE, "version,kind,window",           \
      "That over the loss of always predicting the base rate: below 1 is better")                                    \
    M("Validation", VALIDATION_AUC, "tidemill_validation_auc", GAUGE, "version,kind,window",                         \
      "The chance that a positive sample was scored above a negative one")                                           \
    M("Validation", VALIDATION_GAUC, "tidemill_validation_grouped_auc", GAUGE, "version,kind,window",                \
      "The same within requests, of a sample of them")                                                               \
    M("Validation", VALIDATION_RATIO, "tidemill_validation_calibration_ratio", GAUGE, "version,kind,window",         \
      "Predictions over rewards: above 1 promises too much")                                                         \
    M("Validation", VALIDATION_ECE, "tidemill_validation_calibration_error", GAUGE, "version,kind,window",           \
      "Mean distance of predicted and observed over the bins")                                                       \
    M("Validation", VALIDATION_MSE, "tidemill_validation_squared_error", GAUGE, "version,kind,window",               \
      "linear: mean squared distance of prediction and reward")                                                      \
    M("Validation", VALIDATION_MAE, "tidemill_validation_absolute_error", GAUGE, "version,kind,window",              \
      "linear: mean distance of prediction and reward")                                                              \
    M("Validation", VALIDATION_EXPLAINED, "tidemill_validation_explained_variance", GAUGE, "version,kind,window",    \
      "linear: 1 - squared error over the variance of the rewards: 0 is as good as their mean, below it worse")      \
    M("Validation", VALIDATION_DENSITY, "tidemill_validation_log_density", GAUGE, "version,kind,window",             \
      "linear: mean of -ln of the density foretold at the reward, in nats")                                          \
    M("Validation", VALIDATION_INTERVAL, "tidemill_validation_interval_coverage", GAUGE, "version,kind,window",      \
      "linear: share of rewards within the central 95 % of what was foretold")                                       \
    M("Validation", VALIDATION_TRIALS, "tidemill_validation_trials", GAUGE, "version,kind,window",                   \
      "Batches whose number of positives was foretold before they were learned")                                     \
    M("Validation", VALIDATION_COVERAGE, "tidemill_validation_coverage", GAUGE, "version,kind,window",               \
      "Share of them within the central 95 % of what was foretold: 0.95 where the posterior is right")               \
    M("Validation", VALIDATION_DISPERSION, "tidemill_validation_dispersion", GAUGE, "version,kind,window",           \
      "Mean square of their distances in standard deviations: above 1 where the posterior is too narrow")            \
    M("Validation", VALIDATION_UNJUDGED, "tidemill_validation_unjudged_total", COUNTER, "version,what",              \
      "New samples whose score (served, prequential) could not be judged, and corrections of such samples")          \
                                                                                                                     \
    M("Dead letters", DEAD_LETTERS, "tidemill_dead_letters_total", COUNTER, "stream,reason",                         \
      "Records set aside, or refused at the door, since the data directory was made")                                \
    M("Dead letters", DEAD_LETTERS_KEPT, "tidemill_dead_letters_kept", GAUGE, "stream,reason",                       \
      "Those that `tidemill deadletters` can show")                                                                  \
                                                                                                                     \
    M("Producers", PRODUCERS, "tidemill_producers", GAUGE, "",                                                        \
      "Known producers, live or not; forgotten after 7 days")                                                         \
    M("Producers", INGEST_CALLS, "tidemill_ingest_open_calls", GAUGE, "", "Ingest calls that are open")               \
    M("Producers", INGEST_BYTES, "tidemill_ingest_in_flight_bytes", GAUGE, "",                                        \
      "Messages of Ingest calls that are not answered yet; memory.inbox is their limit")                              \
    M("Producers", INGEST_BATCHES, "tidemill_ingest_batches_total", COUNTER, "door",                                  \
      "Batches taken, by the door they came through: grpc, http, or ranking (Rank and Reward)")                        \
    M("Producers", INGEST_REPEATED, "tidemill_ingest_repeated_batches_total", COUNTER, "door",                        \
      "Batches acknowledged again, without effect")                                                                   \
    M("Producers", INGEST_EVENTS, "tidemill_ingest_events_total", COUNTER, "door", "Events taken")                    \
    M("Producers", INGEST_REJECTED, "tidemill_ingest_rejected_events_total", COUNTER, "field",                        \
      "Events refused at the door, by the field that was wrong; unreadable: no field could be read")                  \
    M("Producers", USERS_LISTED, "tidemill_users_listed", GAUGE, "list",                                              \
      "Users that are blocked, or allowed whatever they do")                                                          \
    M("Producers", RELOAD_SUCCESSFUL, "tidemill_config_last_reload_successful", GAUGE, "",                            \
      "0 when the lists of users could not be read the last time: those before hold")                                 \
    M("Producers", RELOAD_TIME, "tidemill_config_last_reload_timestamp_seconds", GAUGE, "",                           \
      "When that was")                                                                                                \
    M("Producers", INGEST_REFUSED, "tidemill_ingest_refused_total", COUNTER, "code",                                  \
      "Opens and batches refused as a whole, by error code")                                                          \
                                                                                                                      \
    M("Log", LOG_FIRST, "tidemill_log_first_position", GAUGE, "", "The oldest record that the log still has")         \
    M("Log", LOG_HEAD, "tidemill_log_durable_position", GAUGE, "", "End of the log; everything before it is synced")  \
    M("Log", LOG_APPLIED, "tidemill_log_applied_position", GAUGE, "", "Every shard has applied what is before it")    \
    M("Log", LOG_COMMITTED, "tidemill_log_committed_position", GAUGE, "",                                             \
      "Every shard has committed what is before it")                                                                  \
    M("Log", LOG_APPLIED_LAG, "tidemill_log_applied_lag_records", GAUGE, "",                                          \
      "Records in the log that some shard has not applied")                                                           \
    M("Log", LOG_COMMITTED_LAG, "tidemill_log_committed_lag_records", GAUGE, "",                                      \
      "Records that a restart would read again; idle shards commit their position every 5 s")                         \
    M("Log", LOG_APPLIED_LAG_SECONDS, "tidemill_log_applied_lag_seconds", GAUGE, "",                                  \
      "For how long a synced block has been waiting to be applied; 0: nothing waits")                                 \
    M("Log", LOG_BYTES, "tidemill_log_written_bytes_total", COUNTER, "", "Written to the log since the start")        \
    M("Log", LOG_SYNC, "tidemill_log_sync_seconds", HISTOGRAM, "", "One write of the log with its sync")              \
    M("Log", LOG_APPEND, "tidemill_log_append_seconds", HISTOGRAM, "",                                                \
      "From the moment a batch, open or mark is handed to the log until it is synced: what an acknowledgement "       \
      "waits for")                                                                                                    \
    M("Log", LOG_QUEUE, "tidemill_log_queue_submissions", GAUGE, "", "Batches and marks that wait for the log")       \
    M("Log", LOG_QUEUE_BYTES, "tidemill_log_queue_bytes", GAUGE, "", "Their bytes; memory.inbox is the limit")        \
    M("Log", INBOX_BLOCKS, "tidemill_inbox_blocks", GAUGE, "thread", "Blocks that wait for a worker thread")          \
    M("Log", LOG_KEPT_BYTES, "tidemill_log_kept_bytes", GAUGE, "", "Bytes of blocks that the log keeps")             \
    M("Log", LOG_OVERDUE_BYTES, "tidemill_log_overdue_bytes", GAUGE, "",                                             \
      "Bytes that log.retain and log.retain_size would drop, if no shard needed them")                               \
    M("Log", LOG_OLDEST, "tidemill_log_oldest_timestamp_seconds", GAUGE, "",                                         \
      "When the oldest block that is kept was written; absent: there is none")                                       \
    M("Log", INBOX_BYTES, "tidemill_inbox_bytes", GAUGE, "thread", "Their bytes")                                     \
                                                                                                                      \
    M("State", COMMITS, "tidemill_commits_total", COUNTER, "", "Commits of shards since the start")                   \
    M("State", COMMIT_BYTES, "tidemill_commit_bytes_total", COUNTER, "", "Bytes of these commits")                    \
    M("State", COMMIT_SECONDS, "tidemill_commit_seconds", HISTOGRAM, "", "One commit of one shard")                   \
    M("State", STATE_SYNC, "tidemill_state_sync_seconds", HISTOGRAM, "",                                              \
      "One sync of the state, every second while it changes")                                                         \
    M("State", COMMIT_QUEUE, "tidemill_commit_queue_commits", GAUGE, "", "Commits that wait to be written")           \
    M("State", COMMIT_QUEUE_BYTES, "tidemill_commit_queue_bytes", GAUGE, "", "Their bytes")                           \
    M("State", RECOVERY, "tidemill_recovery_seconds", GAUGE, "", "What this start took to read state and log")        \
    M("State", RECOVERED, "tidemill_recovered_events", GAUGE, "", "Events that this start read again from the log")   \
    M("State", DISK_FREE, "tidemill_disk_free_bytes", GAUGE, "", "Free on the file system of the data directory")     \
    M("State", DISK_RESERVE, "tidemill_disk_reserve_bytes", GAUGE, "",                                               \
      "With less than this free no events are taken")                                                                \
    M("State", DISK_STATE, "tidemill_disk_state", GAUGE, "",                                                         \
      "0: there is room; 1: no events are taken; 2: writers wait for room")                                          \
    M("State", DISK_SIZE, "tidemill_disk_size_bytes", GAUGE, "", "Size of that file system")                          \
                                                                                                                      \
    M("RocksDB", ROCKS_TABLES, "tidemill_rocksdb_table_bytes", GAUGE, "db",                                           \
      "Table files, those that wait for deletion included")                                                           \
    M("RocksDB", ROCKS_LIVE_TABLES, "tidemill_rocksdb_live_table_bytes", GAUGE, "db", "Table files in use")           \
    M("RocksDB", ROCKS_LIVE_FILES, "tidemill_rocksdb_live_files", GAUGE, "db", "Table files in use")                  \
    M("RocksDB", ROCKS_BLOBS, "tidemill_rocksdb_blob_bytes", GAUGE, "db",                                             \
      "Files of large values, the deleted ones among them included until their file goes")                            \
    M("RocksDB", ROCKS_KEYS, "tidemill_rocksdb_estimated_keys", GAUGE, "db", "Rows, estimated")                       \
    M("RocksDB", ROCKS_MEMTABLES, "tidemill_rocksdb_memtable_bytes", GAUGE, "db",                                     \
      "Memory of what is not in tables yet")                                                                          \
    M("RocksDB", ROCKS_IMMUTABLE, "tidemill_rocksdb_immutable_memtables", GAUGE, "db",                                \
      "Memtables that wait to be written")                                                                            \
    M("RocksDB", ROCKS_READERS, "tidemill_rocksdb_table_reader_bytes", GAUGE, "db",                                   \
      "Memory for open tables, beside the cache")                                                                     \
    M("RocksDB", ROCKS_CACHE, "tidemill_rocksdb_block_cache_bytes", GAUGE, "db", "Block cache in use")                \
    M("RocksDB", ROCKS_CACHE_SIZE, "tidemill_rocksdb_block_cache_capacity_bytes", GAUGE, "db", "Block cache at most") \
    M("RocksDB", ROCKS_PENDING, "tidemill_rocksdb_pending_compaction_bytes", GAUGE, "db",                             \
      "Bytes that compactions have yet to rewrite")                                                                   \
    M("RocksDB", ROCKS_COMPACTIONS, "tidemill_rocksdb_running_compactions", GAUGE, "db", "Compactions that run")      \
    M("RocksDB", ROCKS_FLUSHES, "tidemill_rocksdb_running_flushes", GAUGE, "db", "Memtables being written")           \
    M("RocksDB", ROCKS_DELAYED, "tidemill_rocksdb_delayed_write_bytes_per_second", GAUGE, "db",                       \
      "What writes are slowed down to because compactions are behind; 0: they are not")                               \
    M("RocksDB", ROCKS_STOPPED, "tidemill_rocksdb_write_stopped", GAUGE, "db", "1: writes wait for compactions")      \
    M("RocksDB", ROCKS_ERRORS, "tidemill_rocksdb_background_errors_total", COUNTER, "db",                             \
      "Flushes and compactions that failed")                                                                          \
                                                                                                                      \
    M("Calls", GRPC_STARTED, "grpc_server_started_total", COUNTER, "grpc_service,grpc_method", "Calls begun")         \
    M("Calls", GRPC_HANDLED, "grpc_server_handled_total", COUNTER, "grpc_service,grpc_method,grpc_code",              \
      "Calls ended, by status; Canceled: the client left before it was answered")                                     \
    M("Calls", GRPC_HANDLING, "grpc_server_handling_seconds", HISTOGRAM, "grpc_service,grpc_method",                  \
      "From the request until the status is sent; of streams, their whole life")                                      \
    M("Calls", PULL_PARKED, "tidemill_pull_parked_calls", GAUGE, "", "Pulls that wait for their at_least position")   \
    M("Calls", HTTP_REQUESTS, "tidemill_http_requests_total", COUNTER, "path,code",                                   \
      "HTTP requests answered, by path (other: there is none of that name) and status")                               \
    M("Calls", HTTP_SECONDS, "tidemill_http_request_seconds", HISTOGRAM, "path",                                      \
      "From the last byte of a request until its answer is ready")                                                    \
    M("Calls", HTTP_CONNECTIONS, "tidemill_http_connections", GAUGE, "", "HTTP connections that are open")            \
                                                                                                                      \
    M("Process", BUILD_INFO, "tidemill_build_info", GAUGE, "version", "1; what runs")                                 \
    M("Process", GENERATION_INFO, "tidemill_generation_info", GAUGE, "generation",                                    \
      "1; restore.start, see the operating manual")                                                                   \
    M("Process", METRIC_VERSIONS, "tidemill_versions", GAUGE, "",                                                     \
      "Versions; beyond 256 they are exported together, as version (other)")                                          \
    M("Process", PROCESS_CPU, "process_cpu_seconds_total", COUNTER, "", "User and system time")                       \
    M("Process", PROCESS_START, "process_start_time_seconds", GAUGE, "",                                              \
      "When the process started, in seconds since 1970")                                                              \
    M("Process", PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "", "Memory in use")                       \
    M("Process", PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, "", "Address space in use")                  \
    M("Process", PROCESS_THREADS, "process_threads", GAUGE, "", "Threads")                                            \
    M("Process", PROCESS_FDS, "process_open_fds", GAUGE, "", "Open files and connections")                            \
    M("Process", PROCESS_FDS_MAX, "process_max_fds", GAUGE, "", "How many there may be")
/* clang-format on */

enum metric {
#define M(group, id, name, type, labels, help) METRIC_##id,
    METRICS(M)
#undef M
        METRIC_COUNT
};

enum {
    METRIC_VERSIONS_MAX = 256,
    METRIC_VALIDATIONS_MAX = 16, /* versions whose validation is exported: every scrape reads it from the state */
};

#endif
