use phoenix_component::Change;

use crate::QueueSettings;

/// What a change of settings means for what a queue holds: the successor's queue takes it over, whatever its
/// size; where either has none, there is no successor, or that does not use the disk that the queue is on, it is
/// delivered first (what a disk has and cannot be sent by the drain's deadline stays there). `new` is none where the exporter is removed.
pub fn change(old: Option<&QueueSettings>, new: Option<Option<&QueueSettings>>) -> Change {
    match (old, new) {
        (None, _) => Change::stateless(),
        (Some(old), Some(Some(new))) if old.storage.is_some() && old.storage != new.storage => {
            Change::let_out()
        }
        (Some(_), Some(Some(_))) => Change::adopted(),
        (Some(_), Some(None) | None) => Change::let_out(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_adopted_by_a_queue() {
        let queue = QueueSettings::default();
        assert_eq!(change(Some(&queue), Some(Some(&queue))), Change::adopted());
        assert_eq!(change(Some(&queue), Some(None)), Change::let_out());
        assert_eq!(change(Some(&queue), None), Change::let_out());
        assert_eq!(change(None, Some(Some(&queue))), Change::stateless());
        let storage = phoenix_config::ComponentId::parse("file_storage").ok();
        let durable = QueueSettings { storage, ..QueueSettings::default() };
        assert_eq!(change(Some(&durable), Some(Some(&durable))), Change::adopted());
        assert_eq!(change(Some(&queue), Some(Some(&durable))), Change::adopted());
        assert_eq!(change(Some(&durable), Some(Some(&queue))), Change::let_out());
    }
}
