use phoenix_config::{EnvProvider, Node, Resolver};

/// The node of a YAML text.
pub(super) fn node(text: &str) -> Node {
    let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
    let resolved = resolver.resolve::<String>(&[format!("yaml:it: {text}")], &[]).expect("it can be read");
    resolved.root.get("it").expect("it is there").clone()
}
