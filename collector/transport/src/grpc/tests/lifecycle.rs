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
