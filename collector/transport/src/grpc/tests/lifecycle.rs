use super::*;

#[tokio::test]
async fn a_drain_under_load_fails_no_request() {
    let leases = Leases::default();
    let (cores, _threads) = Cores::start(2).unwrap();
    let lease = leases.listen_tcp("127.0.0.1:0").unwrap();
    let start = || {
        let echo = Echo { gate: Arc::new(Semaphore::new(0)), calls: Arc::default() };
        let metrics = ServerMetrics::detached();
        server::start(&lease, None, echo, server::Options::default(), &cores, &Budget::unlimited(), metrics)
            .unwrap()
    };
    let mut server = start();
    let address = lease.local_addr().unwrap();
    let target = Target::Host { host: "127.0.0.1".to_owned(), port: address.port() };
    let client = Client::new(client::Options::new(target), &cores).unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let sent = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..16)
        .map(|_| {
            let (client, done, sent) = (client.clone(), done.clone(), sent.clone());
            tokio::spawn(async move {
                while done.load(SeqCst) == 0 {
                    call(&client, noise(20_000)).await.unwrap();
                    sent.fetch_add(1, SeqCst);
                    // Lets the others of this runtime go on.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..20 {
        let goal = sent.load(SeqCst) + 50;
        while sent.load(SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        let next = start();
        let aborted = std::mem::replace(&mut server, next).drain(Duration::from_secs(10)).await;
        assert_eq!(aborted, crate::Aborted::default());
    }
    done.store(1, SeqCst);
    for joined in load {
        joined.await.unwrap();
    }
}

#[tokio::test]
async fn a_drain_reports_what_it_cuts_off() {
    let running = serve(server::Options::default(), Budget::unlimited());
    let client = running.client();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "wait").await }
    });
    while running.echo.calls.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let aborted = running.server.drain(Duration::from_millis(50)).await;
    assert_eq!(aborted, crate::Aborted { connections: 1, requests: 1 });
    assert_eq!(waiting.await.unwrap().unwrap_err().code, Code::UNAVAILABLE);
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_waiting_ends_at_the_deadline() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = client::Options::new(Target::Host { host: "127.0.0.1".to_owned(), port: free });
    let cores = Cores::current_runtime();
    let client = Client::new(options.clone(), &cores).unwrap();
    assert_eq!(call(&client, "x").await.unwrap_err().code, Code::UNAVAILABLE);
    let patient = Client::new(client::Options { wait_for_ready: true, ..options }, &cores).unwrap();
    let timeout = Some(Duration::from_millis(30));
    let method = patient.method(PATH);
    let ended = patient.call(&method, Payload::default(), timeout, &HeaderMap::new()).await;
    assert_eq!(ended.unwrap_err().code, Code::DEADLINE_EXCEEDED);
}

/// A proxy that lets one tunnel after another through, and what it was asked for.
async fn proxy() -> (crate::proxy::Proxy, Arc<std::sync::Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = crate::proxy::Proxy::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
            let target = line.split(' ').nth(1).unwrap().to_owned();
            noted.lock().unwrap().push(line);
            let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (proxy, asked)
}

#[tokio::test]
async fn calls_go_through_the_tunnel_of_a_proxy() {
    let running = serve(large(), Budget::new(64 * MIB));
    let (proxy, asked) = proxy().await;
    let options = client::Options { proxy: Some(proxy), ..running.options() };
    let client = Client::new(options, &running.cores).unwrap();
    for size in [10, 100_000] {
        let message = noise(size);
        assert!(call(&client, message.clone()).await.unwrap() == message, "{size}");
    }
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT {} HTTP/1.1", running.target())]);
}

#[tokio::test]
async fn a_call_is_answered_however_many_connections_are_silent() {
    let options = server::Options {
        max_connections: 4,
        when_full: crate::WhenFull::Evict,
        ..server::Options::default()
    };
    let running = serve(options, Budget::unlimited());
    let address = running.server.local_addr().unwrap();
    let mut silent = Vec::new();
    for round in 0..3_u64 {
        for _ in 0..10 {
            silent.push(std::net::TcpStream::connect(address).unwrap());
        }
        // A client of its own each time: the one before may have had to leave.
        assert_eq!(call(&running.client(), "x").await.unwrap(), "x");
        assert!(running.metrics.refusals("evicted") >= 10 * (round + 1) - 4);
    }
    assert_eq!(running.metrics.refusals("connections"), 0);
}
