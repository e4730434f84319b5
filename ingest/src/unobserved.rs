//! What a batch may have missed: which counters are losses, and which zones folded.
//!
//! A counter is a loss if messages of the server may be behind it that are in no row, and that a record might have been
//! used by. Messages that were read but have no record (other opcodes and classes, a malformed question) are none: no
//! server answers them from a record. Neither are these:
//!
//! * `batches_refused`: their time is not this batch's. It stays a gap until they arrive.
//! * `only_other_source`: it includes messages at the edge of the interval, so it is hardly ever 0.
//! * `stream_bytes_unfinished`: whoever connects to a server and sends garbage makes nobody's queries disappear.
//! * `served_truncated`, `served_unreadable`, `served_folded`: the questions of those responses were counted.
//! * `records_forgotten`, `packet_times_replaced`, `overlap_ms`: all of those messages were counted.

use zonepulse_store::{Loss, OTHER, Unobserved};
use zonepulse_wire::{Batch, Counter};

/// The reason that a counter implies if it is not 0.
fn implied(counter: Counter) -> Option<Unobserved> {
    match counter {
        Counter::KernelDropped => Some(Unobserved::KernelDrop),
        Counter::InterfaceDropped => Some(Unobserved::InterfaceDrop),
        Counter::CutBySnapLength
        | Counter::UnreadableFrames
        | Counter::UnknownLinkType
        | Counter::NoMessage
        | Counter::DnstapFramesUnreadable => Some(Unobserved::Unreadable),
        Counter::FragmentsLost => Some(Unobserved::FragmentsLost),
        Counter::StreamBytesSkipped | Counter::StreamsEvicted => Some(Unobserved::StreamsSkipped),
        Counter::DnstapConnectionsRefused | Counter::DnstapConnectionsBroken => Some(Unobserved::ConnectionsLost),
        // Whose zones are known is seen in the rows, and so is what the central folds.
        Counter::MessagesFolded | Counter::NamesFoldedByCentral | Counter::HitsFoldedByCentral => None,
        Counter::BlindMs => Some(Unobserved::Blind),
        Counter::TimeInFuture | Counter::TimeTooEarly | Counter::ClockSteps => Some(Unobserved::Clock),
        Counter::PacketsSeen
        | Counter::MessagesSeen
        | Counter::OpcodeNotify
        | Counter::OpcodeUpdate
        | Counter::OpcodeDso
        | Counter::OpcodeOther
        | Counter::NoQuestion
        | Counter::SeveralQuestions
        | Counter::WrongDirection
        | Counter::ShortHeader
        | Counter::ShortQuestion
        | Counter::BadName
        | Counter::ClassChaos
        | Counter::ClassHesiod
        | Counter::ClassNone
        | Counter::ClassAny
        | Counter::ClassOther
        | Counter::OwnMessages
        | Counter::OtherAddresses
        | Counter::NoIpPacket
        | Counter::OtherProtocols
        | Counter::OtherPorts
        | Counter::OtherFragments
        | Counter::PacketsRepeated
        | Counter::FragmentsJoined
        | Counter::StreamBytesUnfinished
        | Counter::UdpDatagrams
        | Counter::TcpSegments
        | Counter::PacketTimesReplaced
        | Counter::BatchesRefused
        | Counter::RecordsForgotten
        | Counter::ServedTruncated
        | Counter::ServedUnreadable
        | Counter::ServedFolded
        | Counter::OverlapMs
        | Counter::DnstapFramesSeen
        | Counter::NotTheServersOwn
        | Counter::DnstapTimesReplaced
        | Counter::OtherSourceHits
        | Counter::OnlyCountedSource
        | Counter::OnlyOtherSource
        | Counter::IntervalsCompared
        | Counter::OtherSourceDropped => None,
    }
}

/// What a batch may have missed. What the central itself folds comes in addition.
pub(crate) fn loss(batch: &Batch) -> Loss {
    let counted = batch.counters.iter().filter(|(_, count)| *count > 0);
    let why = counted.filter_map(|(number, _)| implied(Counter::from_number(number)?)).collect();
    let mut loss = Loss { why, folded: Vec::new() };
    let mut folds = false;
    for zone in batch.records.iter().filter_map(|(name, _)| folded_zone(name)) {
        folds = true;
        match zone {
            Some(zone) if loss.folded.iter().any(|known| known == zone) => {}
            Some(zone) if loss.folded.len() < Loss::MAX_ZONES => loss.folded.push(zone.to_owned()),
            _ => loss.why.insert(Unobserved::Folded),
        }
    }
    // The probe folded messages and does not say whose.
    if !folds && batch.counters.get(Counter::MessagesFolded) > 0 {
        loss.why.insert(Unobserved::Folded);
    }
    loss
}

/// The zone of a folded name, if it is one: `Some(None)` without a known zone.
fn folded_zone(name: &str) -> Option<Option<&str>> {
    let zone = name.strip_prefix(OTHER)?;
    if zone.is_empty() { Some(None) } else { Some(Some(zone.strip_prefix(' ')?)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_store::Reasons;
    use zonepulse_wire::{Counters, Coverage, Records, Row};

    fn batch(names: &[&str], counters: &[(Counter, u64)]) -> Batch {
        let mut records = Records::new();
        let mut rows = Vec::new();
        for name in names {
            let record = records.push(name, RecordType::new(0));
            rows.push(Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: 5, last_ms: 7 });
        }
        let mut batch = Batch {
            identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 },
            start_s: 0,
            interval_s: 60,
            coverage: Coverage { from_ms: 0, until_ms: 60_000 },
            counters: Counters::new(),
            evicted: None,
            records,
            rows,
        };
        counters.iter().for_each(|(counter, count)| batch.counters.add(*counter, *count));
        batch
    }

    fn told(batch: &Batch) -> (Reasons, Vec<String>) {
        let Loss { why, folded } = loss(batch);
        (why, folded)
    }

    #[test]
    fn a_counter_means_the_same_as_in_old_reports() {
        for counter in Counter::ALL.iter().copied() {
            let folded = [Counter::MessagesFolded, Counter::NamesFoldedByCentral, Counter::HitsFoldedByCentral];
            let expected = if folded.contains(&counter) { Some(Unobserved::Folded) } else { implied(counter) };
            assert_eq!(Unobserved::of_old_counter(counter.number()), expected, "{counter:?}");
        }
    }

    #[test]
    fn what_is_no_loss_implies_no_reason() {
        for counter in Counter::NO_LOSS {
            assert_eq!(implied(*counter), None, "{counter:?}");
        }
        assert_eq!(loss(&batch(&["a.", "b."], &[(Counter::MessagesSeen, 2), (Counter::OpcodeNotify, 1)])), Loss::default());
    }

    #[test]
    fn a_batch_has_the_reasons_of_all_its_counters() {
        let counters = [(Counter::KernelDropped, 3), (Counter::BlindMs, 1), (Counter::StreamsEvicted, 0)];
        let expected = [Unobserved::KernelDrop, Unobserved::Blind].into_iter().collect();
        assert_eq!(told(&batch(&["a."], &counters)), (expected, Vec::new()));
    }

    #[test]
    fn folds_concern_their_zones_if_these_are_known() {
        let folded = [(Counter::MessagesFolded, 2)];
        let known = batch(&["a.", "<other> example.org.", "<other> net."], &folded);
        assert_eq!(told(&known), (Reasons::NONE, vec!["example.org.".to_owned(), "net.".to_owned()]));
        assert_eq!(told(&batch(&["<other>"], &folded)), (Unobserved::Folded.into(), Vec::new()));
        assert_eq!(told(&batch(&["a."], &folded)), (Unobserved::Folded.into(), Vec::new()));
        assert_eq!(told(&batch(&["<other>.example.org."], &[])), (Reasons::NONE, Vec::new()));
    }

    #[test]
    fn a_batchs_losses_are_in_the_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let store = zonepulse_store::Store::open(dir.path(), &zonepulse_store::Options::default()).unwrap();
        let mut write = store.begin();
        let batch = batch(&["a.", "<other> example.org."], &[(Counter::KernelDropped, 1), (Counter::MessagesFolded, 1)]);
        crate::translate::add(zonepulse_wire::Message::Dns(batch), 0, &mut write).unwrap();
        write.commit().unwrap();
        let why = |zone| store.ledger(ServerId::new(1), 0..60_000, zone).unwrap()[0].why;
        assert_eq!(why(None), Unobserved::KernelDrop.into());
        assert_eq!(why(Some("example.org.")), [Unobserved::KernelDrop, Unobserved::Folded].into_iter().collect());
    }

    #[test]
    fn folds_of_too_many_zones_concern_all_zones() {
        let names: Vec<String> = (0..=Loss::MAX_ZONES).map(|number| format!("<other> z{number}.")).collect();
        let (why, folded) = told(&batch(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]));
        assert_eq!((why, folded.len()), (Unobserved::Folded.into(), Loss::MAX_ZONES));
    }
}
