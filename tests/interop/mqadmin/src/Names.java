import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What is called differently in each run, by names that are the same in all: addresses, message ids, times.
 *
 * <p>A step writes {@code {NAME}} where it means the value; whoever compares puts the name back in place of the value.
 */
final class Names {
    private final Map<String, String> values = new LinkedHashMap<>();

    synchronized void put(String name, String value) {
        values.put(name, value);
    }

    synchronized String get(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("nothing is named " + name);
        }
        return value;
    }

    synchronized String fill(String text) {
        for (Map.Entry<String, String> entry : values.entrySet()) {
            text = text.replace("{" + entry.getKey() + "}", entry.getValue());
        }
        return text;
    }

    synchronized List<String> lines() {
        List<String> lines = new ArrayList<>();
        values.forEach((name, value) -> lines.add(name + "\t" + value));
        return lines;
    }
}
