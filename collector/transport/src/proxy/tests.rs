use tokio::net::{TcpListener, TcpStream};

use super::*;

fn host(name: &str, port: u16) -> Target {
    Target::Host { host: name.to_owned(), port }
}

fn named(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
    Proxies::from_variables(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn proxies_are_named_by_urls_and_their_secrets_are_not_shown() {
    let proxy = Proxy::parse("http://us%65r:p%40ss@proxy:3128").unwrap();
    assert_eq!(proxy.target(), &host("proxy", 3128));
    assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwQHNz");
    assert_eq!(format!("{proxy:?} {:?}", proxy.authorization()), "Proxy(proxy:3128) Some(Sensitive)");
    assert_eq!(Proxy::parse("proxy").unwrap().target(), &host("proxy", 80));
    for (url, reason) in [
        ("socks5://u:secret@p", "socks5 proxies are not supported"),
        ("https://p", "https proxies"),
        ("ftp://p", "must begin with http://"),
        ("http://p:x", "invalid port"),
        ("http://", "it is no URL"),
    ] {
        let error = Proxy::parse(url).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("secret"), "{url}: {error}");
    }
}

#[test]
fn the_environment_says_what_goes_through_which_proxy() {
    let proxies = named(&[
        ("http_proxy", "plain:1"),
        ("HTTPS_PROXY", "http://secure:2"),
        (
            "NO_PROXY",
            " 10.0.0.0/8, example.com,.only.children, *.star.org ,h:81,192.168.1.1,fd00::/8,bad/99,",
        ),
    ])
    .unwrap();
    let through = |name: &str, port, secure| {
        proxies.proxy_for(&host(name, port), secure).map(|proxy| proxy.target().host().to_owned())
    };
    assert_eq!(through("a.b", 80, false).as_deref(), Some("plain"));
    assert_eq!(through("a.b", 443, true).as_deref(), Some("secure"));
    for direct in [
        "localhost",
        "127.0.0.2",
        "::1",
        "10.1.2.3",
        "example.com",
        "x.Example.com",
        "a.only.children",
        "a.star.org",
        "192.168.1.1",
        "fd12::1",
    ] {
        assert_eq!(through(direct, 80, false), None, "{direct}");
    }
    for proxied in ["anexample.com", "only.children", "star.org", "192.168.1.2", "11.0.0.1", "fe80::1"] {
        assert!(through(proxied, 80, false).is_some(), "{proxied}");
    }
    assert_eq!((through("h", 81, false), through("h", 82, false).is_some()), (None, true));
    assert_eq!(proxies.proxy_for(&Target::Unix("/x".into()), false), None);
    assert!(
        named(&[("HTTP_PROXY", "p"), ("NO_PROXY", "*")]).unwrap().proxy_for(&host("a", 1), false).is_none()
    );
    assert_eq!(named(&[]).unwrap(), Proxies::default());
    let wrong = named(&[("HTTPS_PROXY", "socks5://p")]).unwrap_err().to_string();
    assert!(wrong.starts_with("invalid proxy: HTTPS_PROXY: socks5"), "{wrong}");
    let only = Proxies::only(Proxy::parse("p").unwrap());
    assert!(only.proxy_for(&host("localhost", 1), true).is_some(), "what is configured is for everything");
}

async fn answered(answer: &'static str) -> (io::Result<()>, String, Option<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::parse(&format!("http://u:p@{address}")).unwrap();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let mut socket = Plain::Tcp(TcpStream::connect(address).await.unwrap());
    let outcome = proxy.tunnel(&mut socket, "backend:4317").await;
    let head = serve.await.unwrap();
    (outcome, head, socket.read_u8().await.ok())
}

#[tokio::test]
async fn a_tunnel_is_asked_for_and_takes_no_byte_too_many() {
    let (outcome, head, next) = answered("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n!").await;
    outcome.unwrap();
    assert_eq!(next, Some(b'!'));
    let expected =
        "CONNECT backend:4317 HTTP/1.1\r\nHost: backend:4317\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
    assert_eq!(head, expected);
    let (refused, ..) = answered("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .ends_with("refused the tunnel: HTTP/1.1 407 Proxy Authentication Required")
    );
    assert!(answered("220 smtp\r\n\r\n").await.0.is_err());
    assert!(answered("HTTP/1.1 200").await.0.is_err());
}
