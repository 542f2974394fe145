//! The books of a collector that runs, out of its own metrics: `accepted + found on disk = sent + failed + held`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The equation of one exporter of traces, with what it needs of the receivers before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Books {
    accepted: f64,
    /// On the disk when it was opened.
    found: f64,
    sent: f64,
    failed: f64,
    /// In the queue, in the unit of its sizer; the books are closed while there is nothing.
    queued: f64,
}

impl Books {
    /// None where nobody answers.
    fn read(port: u16) -> Option<Books> {
        let all = scrape(port)?;
        let sum = |name: &str| all.get(name).copied().unwrap_or_default();
        Some(Books {
            accepted: sum("otelcol_receiver_accepted_spans"),
            found: sum("phoenix_exporter_storage_taken_over"),
            sent: sum("otelcol_exporter_sent_spans"),
            failed: sum("otelcol_exporter_send_failed_spans"),
            queued: sum("otelcol_exporter_queue_size"),
        })
    }

    fn balance(&self) -> bool {
        self.queued == 0.0 && self.accepted + self.found == self.sent + self.failed
    }
}

/// Waits until everything has left the queue and the equation holds; nothing may have been given up.
pub(crate) fn close(port: u16) -> Books {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let books = Books::read(port);
        match books {
            Some(books) if books.balance() => {
                assert_eq!(books.failed, 0.0, "nothing was given up: {books:?}");
                return books;
            }
            _ => assert!(Instant::now() < end, "the books do not balance: {books:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The sums of all series, by their names without `_total`.
pub(crate) fn scrape(port: u16) -> Option<BTreeMap<String, f64>> {
    let mut sums = BTreeMap::new();
    for (series, value) in scrape_series(port)? {
        let name = series.split('{').next()?;
        let name = name.strip_suffix("_total").unwrap_or(name);
        *sums.entry(name.to_owned()).or_default() += value;
    }
    Some(sums)
}

/// All series, each with its labels. None where nobody answers.
pub(crate) fn scrape_series(port: u16) -> Option<Vec<(String, f64)>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let lines = answer.split_once("\r\n\r\n")?.1.lines().filter(|line| !line.starts_with('#'));
    let series = lines.filter_map(|line| line.rsplit_once(' '));
    Some(series.map(|(series, value)| (series.to_owned(), value.parse().unwrap_or_default())).collect())
}
