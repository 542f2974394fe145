//! "Did you mean": the known name that is nearest to a misspelt one.

/// The candidate that `name` was most likely meant to be, if one is near enough to be worth a mention: at most a third
/// of the letters differ. Case, `-` and `_` count for nothing.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(name);
    if wanted.is_empty() || wanted.len() > 128 {
        return None;
    }
    let limit = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distance(&wanted, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).take(129).collect()
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut current = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        current[0] = i;
        for j in 1..=b.len() {
            let replaced = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            current[j] = best;
        }
        std::mem::swap(&mut before, &mut previous);
        std::mem::swap(&mut previous, &mut current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        // (written, known, meant)
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("recievers", &["receivers", "exporters"], Some("receivers")),
            ("otlpp", &["otlp", "nop"], Some("otlp")),
            ("otlp-http", &["otlp_http", "otlp_grpc"], Some("otlp_http")),
            ("sendBatchSize", &["send_batch_size", "timeout"], Some("send_batch_size")),
            ("htttp", &["grpc", "http"], Some("http")),
            ("zzz", &["grpc", "http"], None),
            ("", &["grpc"], None),
        ];
        for (written, known, meant) in cases {
            assert_eq!(nearest(written, known.iter().copied()), *meant, "{written}");
        }
    }
}
