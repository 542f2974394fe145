use phoenix_component::harness::settings_of_example;
use phoenix_config::decode_text;

use super::*;

#[test]
fn rejects_bad_settings_and_names_the_field() {
    // (settings, fields that the errors name)
    let cases: [(&str, &[&str]); 13] = [
        (r#"{"scrapers": {"cpu": null, "process": {"mute_process_all_errors": true}}}"#, &[]),
        (
            r#"{"collection_interval": "10s", "initial_delay": "0s", "timeout": "5s", "root_path": "/hostfs", "scrapers": {"load": {"cpu_average": true}}}"#,
            &[],
        ),
        ("{}", &["scrapers"]),
        (r#"{"scrapers": {}}"#, &["scrapers"]),
        (
            r#"{"collection_interval": "0s", "timeout": "-1s", "scrapers": {"cpu": {}}}"#,
            &["collection_interval", "timeout"],
        ),
        (r#"{"scrapers": {"nfs": {}}}"#, &[]),
        (
            r#"{"scrapers": {"nfs": {"metrics": {"nfs.client.rpc": {"enabled": true}}}}}"#,
            &["scrapers::nfs::metrics::nfs.client.rpc"],
        ),
        (
            r#"{"scrapers": {"cpu": {"metrics": {"system.cpu.tiem": {"enabled": true}}}}}"#,
            &["scrapers::cpu::metrics::system.cpu.tiem"],
        ),
        (
            r#"{"scrapers": {"disk": {"include": {"devices": ["sda"]}}}}"#,
            &["scrapers::disk::include::match_type"],
        ),
        (
            r#"{"scrapers": {"network": {"exclude": {"interfaces": ["a", "("], "match_type": "regexp"}}}}"#,
            &["scrapers::network::exclude::interfaces::1"],
        ),
        (
            r#"{"scrapers": {"filesystem": {"exclude_fs_types": {"fs_types": ["tmpfs"]}}}}"#,
            &["scrapers::filesystem::exclude_fs_types::match_type"],
        ),
        (
            r#"{"scrapers": {"process": {"metrics": {"process.handles": {"enabled": true}}}}}"#,
            &["scrapers::process::metrics::process.handles"],
        ),
        (
            r#"{"scrapers": {"process": {"resource_attributes": {"process.pid": {"metrics_include": []}}}}}"#,
            &["scrapers::process::resource_attributes::process.pid::metrics_include"],
        ),
    ];
    for (settings, fields) in cases {
        let config: HostMetricsConfig = serde_json::from_str(settings).expect(settings);
        assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
    }
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    for yaml in [
        "scraper: {}",
        "scrapers: {gpu: {}}",
        "scrapers: {cpu: {include: {}}}",
        "scrapers: {cpu: {metrics: {system.cpu.time: {on: true}}}}",
        "scrapers: {process: {resource_attributes: {process.name: {enabled: true}}}}",
        "scrapers: {disk: {include: {devices: [a], match_type: glob}}}",
    ] {
        assert!(decode_text::<HostMetricsConfig>(yaml).is_err(), "{yaml}");
    }
    let yaml = "scrapers: {cpu: {metrics: {system.cpu.time: {enabled: false}, system.cpu.utilization: {enabled: true}}}}";
    let config = decode_text::<HostMetricsConfig>(yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let metrics = &config.scrapers.cpu.get().expect("on").metrics;
    assert!(metrics.is_on(CpuMetric::Utilization) && !metrics.is_on(CpuMetric::Time));
}

#[test]
fn the_example_of_the_readme_is_valid() {
    let _: HostMetricsConfig =
        settings_of_example(include_str!("../../README.md"), "receivers::host_metrics");
}
