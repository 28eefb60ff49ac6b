import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageQueue;

/** An answer of the admin API as lines {@code path = value}, in an order that does not depend on hashing. */
final class Plain {
    private final TreeMap<String, String> lines = new TreeMap<>();

    static String of(Object answer) throws IllegalAccessException {
        Plain plain = new Plain();
        plain.add("", answer);
        StringBuilder text = new StringBuilder();
        plain.lines.forEach((path, value) -> text.append(path).append(" = ").append(value).append('\n'));
        return text.toString();
    }

    private void add(String path, Object value) throws IllegalAccessException {
        if (value instanceof Map) {
            if (((Map<?, ?>) value).isEmpty()) {
                lines.put(name(path), "{}");
            }
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                add(path + "." + key(entry.getKey()), entry.getValue());
            }
        } else if (value instanceof Collection) {
            addAll(path, (Collection<?>) value);
        } else if (value instanceof long[]) {
            lines.put(name(path), java.util.Arrays.toString((long[]) value));
        } else if (value instanceof byte[]) {
            lines.put(name(path), new String((byte[]) value, java.nio.charset.StandardCharsets.UTF_8));
        } else if (value == null || value instanceof Enum || !value.getClass().getName().startsWith("org.apache.rocketmq")) {
            lines.put(name(path), String.valueOf(value).replace('\n', ' '));
        } else {
            for (Class<?> type = value.getClass(); type != Object.class; type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    // A source of random numbers to choose a broker by is no part of the answer.
                    if (!Modifier.isStatic(field.getModifiers()) && field.getType() != java.util.Random.class) {
                        field.setAccessible(true);
                        add(path + "." + field.getName(), field.get(value));
                    }
                }
            }
        }
    }

    /**
     * The members of a set, and of lists that are made from one, have no order: where they are plain, each is a line of
     * its own; else theirs is the order of their lines.
     */
    private void addAll(String path, Collection<?> values) throws IllegalAccessException {
        List<String> members = new ArrayList<>();
        for (Object value : values) {
            if (value instanceof Map) {
                add(path, value);
            } else {
                members.add(of(value));
            }
        }
        // What is counted is not what they are told apart by.
        members.sort(Comparator.comparing((String member) -> member.replaceAll("\\d", "")).thenComparing(member -> member));
        if (values.isEmpty()) {
            lines.put(name(path), "[]");
        }
        for (int i = 0; i < members.size(); i++) {
            for (String line : members.get(i).split("\n")) {
                int equals = line.indexOf(" = ");
                if (line.startsWith("it = ")) {
                    lines.put(name(path) + "[" + line.substring(equals + 3) + "]", "there");
                } else if (equals >= 0) {
                    lines.put(name(path) + "[" + i + "]." + line.substring(0, equals), line.substring(equals + 3));
                }
            }
        }
    }

    private static String key(Object key) {
        if (key instanceof MessageQueue) {
            MessageQueue queue = (MessageQueue) key;
            return queue.getTopic() + "/" + queue.getBrokerName() + "/" + queue.getQueueId();
        }
        return String.valueOf(key);
    }

    private static String name(String path) {
        return path.isEmpty() ? "it" : path.substring(1);
    }
}
