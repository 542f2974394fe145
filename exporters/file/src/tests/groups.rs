//! Attributes name files, and none outside of the folder.

use crate::groups::group;

use super::*;

#[test]
fn no_segment_leads_out_of_the_folder() {
    // (pattern, segment, file)
    let cases = [
        ("/data/*.json", "a", "/data/a.json"),
        ("/data/*.json", "team/a", "/data/team/a.json"),
        ("/data/*.json", "./a", "/data/a.json"),
        ("/data/*.json", "../a", "/data/a.json"),
        ("/data/*.json", "../../etc/passwd", "/data/etc/passwd.json"),
        ("/data/*.json", "a/../../b", "/data/b.json"),
        ("/data/*.json", "/a", "/data/a.json"),
        ("/data/*.json", "", "/data/.json"),
        ("/data/*", "..", "/data"),
        ("/data/app-*.json", "x", "/data/app-x.json"),
        ("/data/app-*.json", "x/y", "/data/app-x/y.json"),
        ("/data/app-*.json", "/../b", "/data/app-/b.json"),
        ("/*", "../../a", "/a"),
    ];
    for (pattern, segment, file) in cases {
        let path = Pattern::new(pattern).path(segment);
        assert_eq!(path, Path::new(file), "{pattern} with {segment:?}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_segment_the_file_is_below_the_folder(segment in "[a./]{0,12}|.{0,8}", name in "(app-)?") {
        let path = Pattern::new(&format!("/data/in/{name}*")).path(&segment);
        proptest::prop_assert!(path.starts_with("/data/in"), "{}", path.display());
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        proptest::prop_assert!(!climbs, "{}", path.display());
    }
}

#[test]
fn resources_are_sorted_by_file_in_order_of_appearance() {
    let batch = logs(&["b", "a", "b"], "x");
    let mut payload = batch.payload.clone();
    payload.append(logs(&["a"], "y").payload);
    let nameless = r#"{"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"intValue": 1}}]},
        "scopeLogs": [{"logRecords": [{}, {}]}]}, {"scopeLogs": [{"logRecords": [{}]}]}]}"#;
    payload.append(super::batch(Signal::Logs, nameless).payload);
    let (groups, nameless) = group(Signal::Logs, &payload, "service.name", &Pattern::new("/x/*"));
    let found: Vec<_> =
        groups.iter().map(|group| (group.path.to_str().expect("text"), group.items)).collect();
    assert_eq!((found, nameless), (vec![("/x/b", 2), ("/x/a", 2)], 3));
    for group in groups {
        assert_eq!(phoenix_pdata::count_items(Signal::Logs, &group.payload), group.items);
    }
}
