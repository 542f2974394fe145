use super::*;
use crate::manifest::read_text;

fn chosen_of(text: &str) -> Result<(Selection, Problems), Box<Problems>> {
    let mut problems = Problems::new();
    let manifest = read_text(text, &mut problems);
    let selection = manifest.and_then(|manifest| choose(&manifest, &Catalog::built_in(), &mut problems));
    match selection {
        Some(selection) if !problems.has_errors() => Ok((selection, problems)),
        _ => Err(Box::new(problems)),
    }
}

const OCB: &str = "
dist: {module: example.com/x, name: mine, description: Mine, version: 2.1.0, output_path: /tmp/mine}
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v0.145.0
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter v0.145.0
  - { crate: my-exporter, path: ./mine, factory: sub::MyFactory }
  - { gomod: example.com/theirs v1.0.0, crate: theirs, git: 'https://example.com/r.git', tag: v3 }
providers:
  - gomod: go.opentelemetry.io/collector/confmap/provider/envprovider v1.51.0
  - { scheme: file }
replaces:
  - phoenix-exporter-otlp-grpc => ../patched
  - github.com/openshift/api => github.com/openshift/api v0.0.0
";

#[test]
fn go_modules_become_crates_and_own_crates_are_taken() {
    let (selection, problems) = chosen_of(OCB).expect("it is right");
    let found: Vec<_> = selection
        .components
        .iter()
        .map(|chosen| (chosen.crate_name.as_str(), chosen.factory.as_str(), chosen.from.clone()))
        .collect();
    let git = From::Git("https://example.com/r.git".to_owned(), Some(("tag", "v3".to_owned())));
    assert_eq!(
        found,
        [
            (
                "phoenix-receiver-otlp",
                "phoenix_receiver_otlp::OtlpReceiverFactory",
                From::Phoenix("receivers/otlp".to_owned())
            ),
            (
                "phoenix-exporter-otlp-grpc",
                "phoenix_exporter_otlp_grpc::OtlpGrpcFactory",
                From::Path("../patched".into())
            ),
            ("my-exporter", "my_exporter::sub::MyFactory", From::Path("./mine".into())),
            ("theirs", "theirs::Factory", git),
        ]
    );
    assert_eq!(selection.schemes, ["env", "file"]);
    let warned: Vec<String> = problems.warnings().map(|warning| warning.path.to_string()).collect();
    assert_eq!(warned, ["replaces::1"]);
}

#[test]
fn mistakes_are_reported_together_at_their_places() {
    // (manifest, what the report says)
    let cases = [
        (
            "receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreciver v0.1.0}]",
            "the nearest there is: go.opentelemetry.io/collector/receiver/otlpreceiver",
        ),
        (
            "processors: [{gomod: example.com/contrib/redactionprocessor v0.145.0}]",
            "Phoenix has no processor for the Go module \"example.com/contrib/redactionprocessor\"",
        ),
        (
            "receivers: [{gomod: go.opentelemetry.io/collector/exporter/otlpexporter v0.1.0}]",
            "it belongs under `exporters`",
        ),
        ("receivers: [{crate: phoenix-receiver-otpl}]", "the nearest there is: phoenix-receiver-otlp"),
        ("receivers: [{gomod: a.b/c, path: ./x}]", "cannot be built into this distribution"),
        ("receivers: [{}]", "needs a `gomod` or a `crate`"),
        ("receivers: [{gomod: a.b/c 1.0}]", "is not a Go module and its version"),
        ("receivers: [{crate: 'a b', path: x}]", "is no name of a crate"),
        ("receivers: [{crate: a, path: x, factory: 'F()'}]", "is no path of a type"),
        ("receivers: [{crate: a, path: x, version: '1'}]", "exclude each other"),
        ("receivers: [{crate: a, path: x, tag: t}]", "goes with `git`"),
        ("receivers: [{crate: phoenix-receiver-otlp}, {crate: phoenix-receiver-otlp}]", "listed twice"),
        ("receivers: [{modgo: x}]", "unknown key"),
        ("{}", "names no components"),
        ("{receivers: [{crate: phoenix-receiver-otlp}], providers: []}", "cannot read any configuration"),
        ("{receivers: [{crate: phoenix-receiver-otlp}], providers: [{scheme: s3}]}", "no provider \"s3\""),
        (
            "{receivers: [{crate: phoenix-receiver-otlp}], converters: [{gomod: a.b/c v1}]}",
            "no converter \"a.b/c\"",
        ),
        ("{receivers: [{crate: phoenix-receiver-otlp}], dist: {name: 'a/b'}}", "must be the name of a file"),
        ("{receivers: [{crate: phoenix-receiver-otlp}], replaces: [phoenix-pdata => ../x]}", "dist::phoenix"),
        ("{receivers: [{crate: phoenix-receiver-otlp}], replaces: [x]}", "is no replacement"),
    ];
    for (text, says) in cases {
        let problems = chosen_of(text).expect_err(text);
        assert!(problems.to_string().contains(says), "{text}: {problems}");
    }
    let two = "receivers:\n  - gomod: a.b/c v1\nexporters:\n  - gomod: a.b/d v1\n";
    let problems = chosen_of(two).expect_err("two mistakes");
    let places: Vec<_> = problems.errors().map(|error| error.location.to_string()).collect();
    assert_eq!(places, ["--config yaml::2:12", "--config yaml::4:12"]);
}
