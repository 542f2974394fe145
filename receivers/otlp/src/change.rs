//! Which connections end when the settings change.

use phoenix_component::Change;
use phoenix_transport::settings::Transport;

use crate::OtlpReceiverConfig;

/// What makes a listener the same one: connections stay open only where all of this does.
struct Listener<'a, T> {
    endpoint: &'a str,
    transport: Transport,
    tls: &'a T,
}

/// What a change means: a server whose endpoint and TLS stay keeps its connections. `new` is none where the
/// receiver is removed.
pub(crate) fn change(old: &OtlpReceiverConfig, new: Option<&OtlpReceiverConfig>) -> Change {
    let grpc = |config: &'_ OtlpReceiverConfig| config.protocols.grpc.get().cloned();
    let http = |config: &'_ OtlpReceiverConfig| config.protocols.http.get().map(|http| http.http());
    let mut change = Change::stateless();
    if let Some(former) = grpc(old) {
        let next = new.map(grpc);
        let next = next.as_ref().map(|grpc| {
            grpc.as_ref().map(|grpc| Listener {
                endpoint: &grpc.endpoint,
                transport: grpc.transport,
                tls: &grpc.tls,
            })
        });
        let former = Listener { endpoint: &former.endpoint, transport: former.transport, tls: &former.tls };
        change = ending(change, "grpc", &former, next.as_ref().map(Option::as_ref));
    }
    if let Some(former) = http(old) {
        let next = new.map(http);
        let next = next.as_ref().map(|http| {
            http.as_ref().map(|http| Listener {
                endpoint: &http.endpoint,
                transport: http.transport,
                tls: &http.tls,
            })
        });
        let former = Listener { endpoint: &former.endpoint, transport: former.transport, tls: &former.tls };
        change = ending(change, "http", &former, next.as_ref().map(Option::as_ref));
    }
    change
}

fn ending<T: PartialEq>(
    change: Change,
    protocol: &str,
    old: &Listener<'_, T>,
    new: Option<Option<&Listener<'_, T>>>,
) -> Change {
    let why = match new {
        None => "the receiver is removed".to_owned(),
        Some(None) => "the protocol is turned off".to_owned(),
        Some(Some(new)) if new.endpoint != old.endpoint || new.transport != old.transport => {
            format!("moves to {}", new.endpoint)
        }
        Some(Some(new)) if new.tls != old.tls => "TLS is set in another way".to_owned(),
        Some(Some(_)) => return change,
    };
    change.closing(format!("{protocol} {}", old.endpoint), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> OtlpReceiverConfig {
        phoenix_config::decode_text(yaml).expect(yaml)
    }

    #[test]
    fn connections_end_where_the_listener_is_another() {
        const OLD: &str = "protocols: {grpc: {endpoint: 'a:1'}, http: {endpoint: 'a:2'}}";
        // (new settings, what closes and why)
        let cases: [(&str, &[&str]); 5] = [
            (
                "protocols: {grpc: {endpoint: 'a:1', max_concurrent_streams: 5}, http: {endpoint: 'a:2', cors: {}}}",
                &[],
            ),
            ("protocols: {grpc: {endpoint: 'b:1'}, http: {endpoint: 'a:2'}}", &["grpc a:1: moves to b:1"]),
            ("protocols: {grpc: {endpoint: 'a:1'}}", &["http a:2: the protocol is turned off"]),
            (
                "protocols: {grpc: {endpoint: 'a:1', tls: {cert_file: c, key_file: k}}, http: {endpoint: 'a:2'}}",
                &["grpc a:1: TLS is set in another way"],
            ),
            (
                "protocols: {grpc: {endpoint: 'a:1', transport: unix}, http: {endpoint: 'a:2'}}",
                &["grpc a:1: moves to a:1"],
            ),
        ];
        let told = |change: Change| -> Vec<String> {
            change.closes.iter().map(|closing| format!("{}: {}", closing.listener, closing.why)).collect()
        };
        for (new, closes) in cases {
            assert_eq!(told(change(&config(OLD), Some(&config(new)))), closes, "{new}");
        }
        assert_eq!(told(change(&config(OLD), None)).len(), 2);
    }
}
