// Follows the orders of the OMS on Kafka: each event once, in order, and no loss in silence.
//
//     java -cp 'JARS/*' Follow.java BOOTSTRAP CURSOR [TOPIC]
//
// Prints one line for each event. CURSOR is a file of this program's own: how far it has read. Ctrl-C or SIGTERM ends it
// after the event at hand; the next run goes on from there. Needs Java 17 and org.apache.kafka:kafka-clients.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Follow {
    /** Records are missing between the last one handled and this one. */
    static class Gap extends Exception {
        Gap(String message) {
            super(message);
        }
    }

    /** For each partition the next offset, and the last feed position that was handled: the watermark. */
    static class Cursor {
        private final Path path;
        private final Properties at = new Properties();

        Cursor(Path path) throws IOException {
            this.path = path;
            if (Files.exists(path)) {
                try (var in = Files.newBufferedReader(path)) {
                    at.load(in);
                }
            }
        }

        long get(int partition, String what) {
            return Long.parseLong(at.getProperty(partition + "." + what, "0"));
        }

        void set(int partition, String what, long value) {
            at.setProperty(partition + "." + what, Long.toString(value));
        }

        /** All or nothing: a crash leaves the old file or the new one. */
        void save() throws IOException {
            var fresh = path.resolveSibling(path.getFileName() + ".new");
            try (var out = Files.newBufferedWriter(fresh)) {
                at.store(out, null);
            }
            Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /**
     * Your work goes here. Write its result and the cursor in one transaction, and it happens exactly once; like this,
     * what was printed after the last save is printed again after a crash.
     */
    static void handle(int partition, long sequence, String id, String type, String subject, String data) {
        System.out.printf( // the payload is JSON already
                "{\"partition\": %d, \"sequence\": %d, \"id\": \"%s\", \"type\": \"%s\", \"subject\": \"%s\", \"data\": %s}%n",
                partition, sequence, id, type, subject, data);
    }

    static String header(ConsumerRecord<?, ?> record, String name) {
        return new String(record.headers().lastHeader(name).value(), UTF_8);
    }

    /** Handle one record, unless the watermark says that this happened before. */
    static void take(ConsumerRecord<String, String> record, Cursor cursor) throws Gap {
        int partition = record.partition();
        long last = cursor.get(partition, "sequence");
        long sequence = Long.parseLong(header(record, "ce_sequence"));
        long previous = Long.parseLong(header(record, "ce_previous"));
        if (sequence <= last) {
            System.err.printf("duplicate: partition %d, position %d%n", partition, sequence);
        } else if (previous != last) {
            throw new Gap(String.format(
                    "gap: partition %d: position %d follows %d, but %d was the last one here. "
                            + "Fetch what is between from the producer's GET /feed?topic=…&partition=…&after=…",
                    partition, sequence, previous, last));
        } else {
            handle(partition, sequence, header(record, "ce_id"), header(record, "ce_type"),
                    header(record, "ce_subject"), record.value());
            cursor.set(partition, "sequence", sequence);
        }
        cursor.set(partition, "offset", record.offset() + 1);
    }

    public static void main(String[] args) throws Exception {
        var cursor = new Cursor(Path.of(args[1]));
        var topic = args.length > 2 ? args[2] : "oms.order.events";
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", args[0], "enable.auto.commit", false, "auto.offset.reset", "earliest");
        int status = 0;
        // Without a consumer group: the cursor is ours, and nobody else shares the partitions.
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            var main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup(); // poll, or the next one, ends
                try {
                    main.join();
                } catch (InterruptedException ended) {
                    Thread.currentThread().interrupt();
                }
            }));
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                    .map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            partitions.forEach(p -> consumer.seek(p, cursor.get(p.partition(), "offset")));
            while (true) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    take(record, cursor);
                }
                cursor.save();
            }
        } catch (WakeupException stopped) {
            cursor.save();
        } catch (Gap gap) {
            cursor.save();
            System.err.println(gap.getMessage());
            status = 2;
        }
        Runtime.getRuntime().halt(status); // the hook above waits for this thread, so exit() would wait for ever
    }
}
