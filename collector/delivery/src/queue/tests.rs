use super::*;
use bytes::Bytes;
use phoenix_component::Ack;
use phoenix_pdata::Signal;
use std::time::Duration;

fn element(items: u64) -> Element {
    let payload = Bytes::from(vec![0; 10 * items as usize]).into();
    Element::of(Batch::new(Signal::Logs, payload, items), Ack::none())
}

fn put(queue: &mut Queue, items: u64) {
    queue.put(element(items), Instant::now(), &mut Vec::new());
}

fn held(items: u64) -> Held {
    Held { items, bytes: 10 * items as usize }
}

#[test]
fn what_is_under_way_holds_its_room() {
    let mut queue = Queue::new(Sizer::Items, 10, 1, None);
    put(&mut queue, 6);
    let first = queue.next().expect("a send is free").extent();
    assert_eq!(queue.admit(&element(5).batch), Err(Rejection::Full));
    assert_eq!(queue.admit(&element(11).batch), Err(Rejection::TooLarge));
    assert_eq!(queue.admit(&element(4).batch), Ok(()));
    put(&mut queue, 4);
    assert!(queue.next().is_none(), "the only send is taken");
    assert_eq!((queue.size(), queue.held()), (10, held(10)));
    queue.finish(first);
    let second = queue.next().expect("free again").extent();
    assert_eq!(second.items, 4);
    assert!(!queue.is_idle());
    queue.finish(second);
    assert!(queue.is_idle() && queue.held() == Held::default());
    queue.close();
    assert_eq!(queue.admit(&element(1).batch), Err(Rejection::Closed));
}

#[test]
fn each_sizer_counts_its_own() {
    for (sizer, size) in [(Sizer::Requests, 1), (Sizer::Items, 3), (Sizer::Bytes, 30)] {
        let mut queue = Queue::new(sizer, 30, 0, None);
        put(&mut queue, 3);
        assert_eq!((queue.size(), queue.growth(), queue.growth()), (size, size as i64, 0), "{sizer}");
        assert_eq!(queue.take_waiting().len(), 1);
        assert_eq!((queue.size(), queue.held()), (0, Held::default()));
    }
}

#[test]
fn batches_in_the_making_count_and_are_completed_by_size_time_and_the_end() {
    let any = Extent { requests: u64::MAX, items: u64::MAX, bytes: u64::MAX };
    let rules = BatchRules {
        min: Extent { items: 5, ..any },
        max: any,
        flush_timeout: Duration::from_secs(1),
        keys: Vec::new(),
    };
    let mut queue = Queue::new(Sizer::Requests, 4, 10, Some(rules));
    let (start, mut made) = (Instant::now(), Vec::new());
    queue.put(element(2), start, &mut made);
    queue.put(element(2), start, &mut made);
    assert!(queue.next().is_none() && queue.needs_watch() && !queue.needs_watch());
    assert_eq!((queue.size(), queue.held()), (2, held(4)));
    queue.put(element(1), start, &mut made);
    let batch = queue.next().expect("it is large enough");
    assert_eq!((batch.requests, batch.batch.items, queue.size()), (3, 5, 3));
    queue.put(element(1), start + Duration::from_millis(500), &mut made);
    assert_eq!(queue.admit(&element(1).batch), Err(Rejection::Full));
    let due = queue.flush_due(start + Duration::from_secs(1), &mut made);
    assert_eq!(due, Some(start + Duration::from_millis(1500)));
    assert_eq!(queue.flush_due(start + Duration::from_millis(1500), &mut made), None);
    assert!(queue.next().is_some());
    queue.put(element(1), start, &mut made);
    assert!(queue.needs_watch() && !queue.is_idle());
    queue.end(&mut made);
    queue.put(element(1), start, &mut made);
    assert_eq!(queue.waiting.len(), 2);
    let triggers: Vec<_> = made.iter().map(|made| made.trigger).collect();
    assert_eq!(triggers, [Trigger::Size, Trigger::Timeout, Trigger::End, Trigger::End]);
}
