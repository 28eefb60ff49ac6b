//! Finds the key that a misspelt one was meant to be.

/// The candidate nearest to `word`, unless all are too far from it to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_ascii_lowercase(), &candidate.to_ascii_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions and replacements of single letters lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = above[column + 1];
            above[column + 1] = replaced.min(diagonal + 1).min(above[column] + 1);
        }
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        assert_eq!(
            (distance("kitten", "sitting"), distance("", "abc"), distance("abc", ""), distance("abc", "abc")),
            (3, 3, 3, 0)
        );
    }

    #[test]
    fn a_misspelt_key_finds_the_one_that_was_meant() {
        let keys = ["mappedFileSizeCommitLog", "mappedFileSizeConsumeQueue", "flushDiskType", "listenPort"];
        assert_eq!(nearest("mapedFileSizeCommitLog", keys), Some("mappedFileSizeCommitLog"));
        assert_eq!(nearest("FLUSHDISKTYPE", keys), Some("flushDiskType"));
        assert_eq!(nearest("listen-port", keys), Some("listenPort"));
        assert_eq!(nearest("colour", keys), None);
    }
}
