//! What a step printed, with what no two runs share replaced by names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::step::{Layout, Step};

/// What a step printed and how it ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `done`, `cut`, `stuck` or `failed`.
    pub state: String,
    /// Its lines: first what it printed, then the messages of the exceptions that it reported.
    pub lines: Vec<String>,
}

impl Answer {
    /// Reads what the driver kept of step `index`; `names` are values and the names to put in their places.
    pub(super) fn read(results: &Path, index: usize, names: &[(String, String)]) -> Self {
        let part = |extension: &str| {
            let path = results.join(format!("{index}.{extension}"));
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            named(&String::from_utf8_lossy(&bytes), names)
        };
        let mut lines = tidy(&part("out"));
        lines.extend(tidy(&part("err")).into_iter().map(|line| format!("! {line}")));
        Self { state: part("state"), lines }
    }

    /// Whether it is the answer to a request that a server does not support.
    pub fn is_not_supported(&self) -> bool {
        self.lines.iter().any(|line| line.contains("CODE: 3 "))
    }

    /// Its fields: by name where the layout gives them names, else each line counted.
    pub(super) fn fields(&self, step: &Step) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::from([("how it ended".to_owned(), self.state.clone())]);
        let (out, err): (Vec<&String>, Vec<&String>) =
            self.lines.iter().partition(|line| !line.starts_with("! "));
        match step.layout {
            Layout::Json => {
                match json(&out.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")) {
                    Some(value) => flatten("", &value, &mut fields),
                    None => count(out.iter().map(|line| (*line).clone()), &mut fields),
                }
            }
            Layout::Pairs => {
                for line in &out {
                    let (name, value) = pair(line);
                    fields.insert(name.to_owned(), value.to_owned());
                }
            }
            Layout::Table => count(rows(&out, &step.free).into_iter(), &mut fields),
            Layout::Shape => count(out.iter().map(|line| without_numbers(line)), &mut fields),
            Layout::Decimals => count(out.iter().map(|line| without_decimals(line)), &mut fields),
            Layout::Lines | Layout::Sorted => {
                count(out.iter().map(|line| (*line).clone()), &mut fields);
            }
        }
        count(err.into_iter().cloned(), &mut fields);
        fields.retain(|name, _| !step.without.iter().any(|part| name.contains(part)));
        let counted =
            matches!(step.layout, Layout::Lines | Layout::Sorted | Layout::Table | Layout::Decimals);
        fields
            .into_iter()
            .map(|(name, value)| {
                let is_shaped = step.shaped.iter().any(|part| name.contains(part));
                match (is_shaped, counted) {
                    (true, true) => (without_numbers(&name), value),
                    (true, false) => (name, without_numbers(&value)),
                    (false, _) => free(name, value, &step.free, counted),
                }
            })
            .collect()
    }

    /// The lines whose order matters.
    pub(super) fn order(&self, step: &Step) -> Vec<String> {
        if step.layout != Layout::Lines {
            return Vec::new();
        }
        self.lines
            .iter()
            .filter(|line| !step.without.iter().any(|part| line.contains(part)))
            .map(|line| free(line.clone(), String::new(), &step.free, true).0)
            .collect()
    }
}

/// The field with what is not compared left out.
fn free(name: String, value: String, free: &[&str], counted: bool) -> (String, String) {
    for word in free {
        if counted {
            if let Some(at) = name.find(word) {
                return (format!("{}…", &name[..at + word.len()]), value);
            }
        } else if name.contains(word) {
            return (name, "…".to_owned());
        }
    }
    (name, value)
}

/// Lines as fields: how often each is there.
fn count(lines: impl Iterator<Item = String>, fields: &mut BTreeMap<String, String>) {
    let mut counts = BTreeMap::<String, usize>::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    fields.extend(counts.into_iter().map(|(line, times)| (line, format!("×{times}"))));
}

fn pair(line: &str) -> (&str, &str) {
    match line.find([':', '=']) {
        Some(at) if !line.starts_with('=') => (line[..at].trim(), line[at + 1..].trim()),
        _ => (line, ""),
    }
}

/// The rows of a table, cells of free columns emptied.
fn rows(lines: &[&String], free: &[&str]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    lines
        .iter()
        .map(|line| {
            if line.starts_with('#') {
                columns = line.split('#').skip(1).map(|name| format!("#{}", name.trim())).collect();
                return (*line).clone();
            }
            let cells = line.replace(", ", ",");
            let cells: Vec<&str> = cells
                .split(' ')
                .enumerate()
                .map(|(i, cell)| match columns.get(i) {
                    Some(column) if free.contains(&column.as_str()) => "…",
                    _ => cell,
                })
                .collect();
            cells.join(" ")
        })
        .collect()
}

fn without_decimals(line: &str) -> String {
    let decimal = |cell: &&str| cell.contains('.') && cell.parse::<f64>().is_ok();
    line.split(' ').map(|cell| if decimal(&cell) { "…" } else { cell }).collect::<Vec<_>>().join(" ")
}

fn without_numbers(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '9' } else { c };
        if !(c == '9' && shape.ends_with('9')) {
            shape.push(c);
        }
    }
    // Small numbers may have an exponent.
    shape.replace("E-9", "")
}

/// Parses what fastjson prints, which does not quote keys that are numbers.
fn json(text: &str) -> Option<serde_json::Value> {
    let text = text.replace(":<millis>", ":\"<millis>\"");
    let mut quoted = String::new();
    let mut in_string = false;
    let mut chars = text.chars().peekable();
    let mut may_be_key = false;
    while let Some(c) = chars.next() {
        if !in_string && may_be_key && c.is_ascii_digit() {
            let mut number = String::from(c);
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            if chars.peek() == Some(&':') {
                number = format!("\"{number}\"");
            }
            quoted.push_str(&number);
            may_be_key = false;
            continue;
        }
        match c {
            '\\' if in_string => {
                quoted.push(c);
                quoted.extend(chars.next());
                continue;
            }
            '"' => in_string = !in_string,
            _ => {}
        }
        if !c.is_whitespace() {
            may_be_key = matches!(c, '{' | ',');
        }
        quoted.push(c);
    }
    serde_json::from_str(&quoted).ok()
}

fn flatten(path: &str, value: &serde_json::Value, fields: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        serde_json::Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                flatten(&below(name), value, fields);
            }
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            for (i, value) in items.iter().enumerate() {
                flatten(&format!("{path}[{i}]"), value, fields);
            }
        }
        leaf => {
            fields.insert(path.to_owned(), leaf.to_string());
        }
    }
}

/// Puts names in the places of values, longer values first, as some are parts of others.
fn named(text: &str, names: &[(String, String)]) -> String {
    let mut names: Vec<&(String, String)> = names.iter().collect();
    names.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for (name, value) in names {
        text = text.replace(value, &format!("{{{name}}}"));
    }
    text
}

/// Lines without what belongs to the tool's code or to the wording of a server, spaces joined.
fn tidy(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // The text of a refusal is each server's own; it may go on for lines, down to the trace or the next field.
    let mut in_text = false;
    // The unique-key query prints its tracks without a line between.
    for line in text.replace("]MessageTrack [", "]\nMessageTrack [").lines() {
        if line.starts_with("\tat ") || line.starts_with("\t... ") {
            in_text = false;
            continue;
        }
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.starts_with("Caused by") || line.starts_with("MessageTrack [") {
            in_text = false;
        }
        if line.is_empty()
            || in_text
            || line.starts_with("For more information")
            || line.starts_with("See https:")
        {
            continue;
        }
        let said = line.find("DESC:");
        // A call's answer has it in one line.
        in_text = said.is_some() && !line.contains(" = ");
        lines.push(without_moments(&line[..said.unwrap_or(line.len())]));
    }
    lines
}

/// Replaces times, addresses, generated ids and object hashes by what they are.
fn without_moments(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let inside = kept.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '.');
        match found(rest).filter(|_| !inside || c == '@') {
            Some((length, what)) => {
                kept.push_str(what);
                rest = &rest[length..];
            }
            None => {
                kept.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    kept
}

/// What of these the text begins with, and how long it is.
fn found(text: &str) -> Option<(usize, &'static str)> {
    const PATTERNS: [(&str, &str); 4] = [
        ("9999-99-99 99:99:99,999", "<time>"),
        ("9999-99-99 99:99:99", "<time>"),
        ("9999999999999", "<millis>"),
        ("99999999999999", "<time>"),
    ];
    let ends = |length: usize| !text[length..].starts_with(|c: char| c.is_ascii_alphanumeric());
    for (pattern, what) in PATTERNS {
        if text.len() >= pattern.len()
            && text.is_char_boundary(pattern.len())
            && pattern.bytes().zip(text.bytes()).all(|(p, c)| match p {
                b'9' => c.is_ascii_digit(),
                _ => p == c,
            })
            && ends(pattern.len())
        {
            return Some((pattern.len(), what));
        }
    }
    if let Some(rest) = text.strip_prefix('@') {
        let hash = rest.bytes().take_while(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')).count();
        // A client's id may go on with a hyphen.
        let is_hash = (4..=8).contains(&hash) && ends(1 + hash) && !rest[hash..].starts_with('-');
        return is_hash.then_some((1 + hash, "@<hash>"));
    }
    if let Some(rest) = text.strip_prefix("MonitorService_") {
        let number = rest.bytes().take_while(|c| c.is_ascii_digit() || *c == b'-').count();
        return Some((text.len() - rest.len() + number, "MonitorService_<random>"));
    }
    let hex = text.bytes().take_while(|c| c.is_ascii_digit() || (b'A'..=b'F').contains(c)).count();
    if hex >= 32 {
        return Some((hex, "<id>"));
    }
    address(text)
}

/// An IPv4 address, with a port or without.
fn address(text: &str) -> Option<(usize, &'static str)> {
    let end = text.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
    text[..end].parse::<std::net::Ipv4Addr>().ok()?;
    let port =
        text[end..].strip_prefix(':').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if port > 0 { Some((end + 1 + port, "<address>")) } else { Some((end, "<ip>")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_two_runs_share_is_replaced() {
        let lines = tidy(
            "born 2026-11-21 12:00:01,123 at 127.0.0.1:4711, id 7F000001000055970000000000000000 \n\
             a.Store@9e9d9, 127.0.0.1@face-1\n\
             x.desc = CODE: 17  DESC: no\nx.type = none\n\
             Caused by: X: CODE: 17  DESC: no such topic\nat all\n\tat Some.where(X.java:1)\nlast 1795263859371",
        );
        assert_eq!(
            lines,
            [
                "born <time> at <address>, id <id>",
                "a.Store@<hash>, <ip>@face-1",
                "x.desc = CODE: 17 ",
                "x.type = none",
                "Caused by: X: CODE: 17 ",
                "last <millis>",
            ]
        );
    }

    #[test]
    fn fastjson_keys_that_are_numbers_are_read() {
        let value = json("{\"a\":{0:\"x:1\",\n1:2},\"b\":[3,4]}").expect("it parses");
        let mut fields = BTreeMap::new();
        flatten("", &value, &mut fields);
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(fields, ["a.0=\"x:1\"", "a.1=2", "b[0]=3", "b[1]=4"]);
    }

    #[test]
    fn cells_of_free_columns_are_not_compared() {
        let lines = ["#Name #Load".to_owned(), "a 7(0, 1)".to_owned()];
        assert_eq!(rows(&[&lines[0], &lines[1]], &["#Load"]), ["#Name #Load", "a …"]);
    }
}
