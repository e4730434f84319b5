//! The order of records in a transfer (RFC 5936 section 2.2, RFC 1995 section 4).
//!
//! A full zone is its SOA, every other record in any order, and the same SOA again. An incremental answer is the new SOA,
//! then for every change the old SOA, the records removed, the newer SOA, the records added, and finally the new SOA again.
//! A primary that has nothing newer sends its SOA alone. `domain` has an interpreter too, but it takes a first message with
//! a SOA alone for a whole answer, which loses the zone if the primary sends one record per message.

use super::error::{Disorder, Error};
use super::serial;
use crate::{Name, Record};
use std::collections::VecDeque;
use zonepulse_dns::RecordType;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The SOA only.
    Soa,
    /// The full zone.
    Full,
    /// What changed since this serial.
    Since(u32),
}

/// What the records mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A full zone follows.
    Full(u32),
    /// Changes up to this serial follow.
    Incremental(u32),
    /// Nothing newer; the primary's serial.
    Current(u32),
    /// A record of the zone, or one that a change adds.
    Add(Record),
    /// A record that a change removes.
    Remove(Record),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    /// After the first SOA of an answer to IXFR.
    First,
    Full,
    Removing,
    /// The serial that is reached once all records are added.
    Adding(u32),
    End,
}

/// The state of an answer after some of its records.
#[derive(Debug)]
pub(super) struct Sequence {
    apex: Name,
    asked: Asked,
    first: Option<(Record, u32)>,
    state: State,
    records: u64,
}

impl Sequence {
    pub(super) fn new(apex: Name, asked: Asked) -> Self {
        Sequence { apex, asked, first: None, state: State::Begin, records: 0 }
    }

    pub(super) fn apex(&self) -> &Name {
        &self.apex
    }

    pub(super) fn asked(&self) -> Asked {
        self.asked
    }

    /// Number of records so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Whether the last record has come.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Whether there was nothing but the SOA of a newer version.
    pub(super) fn is_lone_soa(&self) -> bool {
        self.state == State::First
    }

    /// Takes the next record.
    pub(super) fn record(&mut self, record: Record, items: &mut VecDeque<Item>) -> Result<(), Error> {
        self.records += 1;
        let serial = self.serial_of(&record)?;
        match (self.state, serial) {
            (State::Begin, Some(serial)) => self.begin(record, serial, items),
            (State::Begin, None) => return self.fail(Disorder::NoFirstSoa(record.owner, record.rtype)),
            (State::First, Some(serial)) => self.second_soa(record, serial, items)?,
            (State::First, None) => {
                self.begin_full(items);
                items.push_back(Item::Add(record));
            }
            (State::Full, None) | (State::Adding(_), None) => items.push_back(Item::Add(record)),
            (State::Full, Some(_)) if self.is_first(&record) => self.state = State::End,
            (State::Full, Some(found)) => {
                let first = self.first.as_ref().map_or(found, |(_, serial)| *serial);
                return self.fail(Disorder::OtherSoa { first, found });
            }
            (State::Removing, None) => items.push_back(Item::Remove(record)),
            (State::Removing, Some(serial)) => {
                self.state = State::Adding(serial);
                items.push_back(Item::Add(record));
            }
            (State::Adding(reached), Some(found)) => self.change_ends(record, reached, found, items)?,
            (State::End, _) => return self.fail(Disorder::AfterEnd),
        }
        Ok(())
    }

    /// Takes note that a message ends: a lone SOA that is not newer is a whole answer (RFC 1995 section 2).
    pub(super) fn message_ends(&mut self, items: &mut VecDeque<Item>) {
        if let (State::First, Asked::Since(ours), Some((_, serial))) = (self.state, self.asked, &self.first)
            && !serial::is_newer(*serial, ours)
        {
            items.push_back(Item::Current(*serial));
            self.state = State::End;
        }
    }

    fn begin(&mut self, soa: Record, serial: u32, items: &mut VecDeque<Item>) {
        self.first = Some((soa, serial));
        match self.asked {
            Asked::Since(_) => self.state = State::First,
            Asked::Full | Asked::Soa => self.begin_full(items),
        }
    }

    fn begin_full(&mut self, items: &mut VecDeque<Item>) {
        if let Some((soa, serial)) = &self.first {
            items.push_back(Item::Full(*serial));
            items.push_back(Item::Add(soa.clone()));
        }
        self.state = State::Full;
    }

    /// The second record of an answer to IXFR is a SOA: that of the version to change, or the end of a zone without records.
    fn second_soa(&mut self, soa: Record, found: u32, items: &mut VecDeque<Item>) -> Result<(), Error> {
        let (Asked::Since(expected), Some((_, serial))) = (self.asked, &self.first) else {
            return self.fail(Disorder::AfterEnd);
        };
        if found == expected && *serial != expected {
            items.push_back(Item::Incremental(*serial));
            items.push_back(Item::Remove(soa));
            self.state = State::Removing;
            return Ok(());
        }
        if self.is_first(&soa) {
            if serial::is_newer(found, expected) {
                self.begin_full(items);
            } else {
                items.push_back(Item::Current(found));
            }
            self.state = State::End;
            return Ok(());
        }
        self.fail(Disorder::Gap { expected, found })
    }

    /// A SOA after records added: that of the next version to change, or the last one.
    fn change_ends(&mut self, soa: Record, reached: u32, found: u32, items: &mut VecDeque<Item>) -> Result<(), Error> {
        if found != reached {
            return self.fail(Disorder::Gap { expected: reached, found });
        }
        match &self.first {
            Some((first, serial)) if *serial == reached => {
                if *first != soa {
                    return self.fail(Disorder::OtherSoa { first: *serial, found });
                }
                self.state = State::End;
            }
            _ => {
                items.push_back(Item::Remove(soa));
                self.state = State::Removing;
            }
        }
        Ok(())
    }

    /// The serial, if the record is a SOA.
    fn serial_of(&self, record: &Record) -> Result<Option<u32>, Error> {
        if record.rtype != RecordType::SOA {
            return Ok(None);
        }
        if record.owner != self.apex {
            return self.fail(Disorder::ForeignSoa(record.owner.clone()));
        }
        match serial_in(&record.rdata) {
            Some(serial) => Ok(Some(serial)),
            None => self.fail(Disorder::BadSoa),
        }
    }

    fn is_first(&self, record: &Record) -> bool {
        self.first.as_ref().is_some_and(|(first, _)| first == record)
    }

    fn fail<T>(&self, disorder: Disorder) -> Result<T, Error> {
        Err(Error::Sequence(self.records, disorder))
    }
}

/// The serial in the RDATA of a SOA record with uncompressed names: the first of the five numbers at its end.
pub(super) fn serial_in(rdata: &[u8]) -> Option<u32> {
    rdata.last_chunk::<20>()?.first_chunk::<4>().map(|serial| u32::from_be_bytes(*serial))
}
