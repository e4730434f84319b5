//! A connection over an in-memory transport.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use zonepulse_fixtures::control::{ACCEPT, FINISH, READY, START, STOP};
use zonepulse_fixtures::{DNSTAP, control_frame, data_frame};

/// Delivers its input piece by piece, and records its output.
#[derive(Default)]
struct Script {
    pieces: VecDeque<Vec<u8>>,
    closed: bool,
    answers: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        };
        let count = piece.len().min(room.len());
        room[..count].copy_from_slice(&piece[..count]);
        if count < piece.len() {
            self.pieces.push_front(piece.split_off(count));
        }
        Ok(count)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads until there is no more input.
fn run(connection: &mut Connection<Script>, now: Instant) -> (Vec<Vec<u8>>, Standing) {
    let mut frames = Vec::new();
    loop {
        let standing = connection.read(now, &mut |data| frames.push(data.to_vec()));
        if standing != Standing::Open || connection.peer.pieces.is_empty() && !connection.peer.closed {
            return (frames, standing);
        }
    }
}

fn connection(pieces: &[&[u8]], closed: bool) -> Connection<Script> {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    Connection::new(Script { pieces, closed, answers: Vec::new() }, Instant::now())
}

fn start() -> Vec<u8> {
    control_frame(START, Some(DNSTAP))
}

fn whole() -> Vec<u8> {
    [control_frame(READY, Some(DNSTAP)), start(), data_frame(b"one"), data_frame(b"two"), control_frame(STOP, None)].concat()
}

#[test]
fn only_a_writer_that_negotiates_gets_replies() {
    let mut asking = connection(&[&whole()], false);
    assert_eq!(run(&mut asking, Instant::now()), (vec![b"one".to_vec(), b"two".to_vec()], Standing::Ended));
    assert_eq!(asking.peer.answers, [control_frame(ACCEPT, Some(DNSTAP)), control_frame(FINISH, None)].concat());
    let mut plain = connection(&[&start(), &control_frame(STOP, None)], false);
    assert_eq!(run(&mut plain, Instant::now()).1, Standing::Ended);
    assert!(plain.peer.answers.is_empty());
}

#[test]
fn a_connection_closed_without_data_is_not_reported() {
    assert_eq!(run(&mut connection(&[], true), Instant::now()).1, Standing::Ended);
}

#[test]
fn a_failed_or_invalid_connection_is_broken_and_its_earlier_frames_count() {
    for (end, why) in [
        (Vec::new(), "without a STOP"),
        (vec![0, 0, 0, 9, 1], "without a STOP"),
        (vec![0xff; 4], "exceeds the limit"),
        (control_frame(READY, Some(DNSTAP)), "READY"),
    ] {
        let (frames, standing) = run(&mut connection(&[&start(), &data_frame(b"one"), &end], true), Instant::now());
        assert_eq!(frames, [b"one"]);
        assert!(matches!(&standing, Standing::Broken(what) if what.contains(why)), "{standing:?}");
    }
    let other = [control_frame(READY, Some(b"x:logs"))];
    assert!(matches!(run(&mut connection(&[&other[0]], false), Instant::now()).1, Standing::Broken(_)));
}

#[test]
fn a_length_takes_no_memory_before_the_bytes_are_there() {
    let length = (MAX_DATA_BYTES as u32).to_be_bytes();
    let mut lying = connection(&[&start(), &length, b"no more than this"], false);
    run(&mut lying, Instant::now());
    assert_eq!(lying.buffer.len(), BUFFER_BYTES);
    let frame = data_frame(&vec![7; MAX_DATA_BYTES]);
    let mut honest = connection(&[&start(), &frame, &frame], false);
    assert_eq!(run(&mut honest, Instant::now()).0.len(), 2);
    assert_eq!(honest.buffer.len(), MAX_BUFFER_BYTES);
}

#[test]
fn an_idle_connection_costs_a_kibibyte() {
    let mut asking = connection(&[&control_frame(READY, Some(DNSTAP))], false);
    run(&mut asking, Instant::now());
    assert_eq!(asking.buffer.len(), HANDSHAKE_BYTES);
}

#[test]
fn an_idle_connection_is_kept_and_a_stalled_one_is_not() {
    let begin = Instant::now();
    let later = begin + Duration::from_secs(3600);
    let mut silent = connection(&[], false);
    run(&mut silent, begin);
    assert!(silent.is_overdue(later), "no handshake, but it may stay");
    let mut quiet = connection(&[&start(), &data_frame(b"one")], false);
    run(&mut quiet, begin);
    assert!(!quiet.is_overdue(later), "a quiet server is closed");
    let mut stalling = connection(&[&start(), &data_frame(b"one")[..5]], false);
    run(&mut stalling, begin);
    assert!(!stalling.is_overdue(begin) && stalling.is_overdue(later));
    stalling.peer.pieces.push_back(b"n".to_vec());
    run(&mut stalling, later);
    assert!(stalling.is_overdue(later), "single octets count as progress");
    stalling.peer.pieces.push_back(b"e".to_vec());
    assert_eq!(run(&mut stalling, later).0, [b"one"]);
    assert!(!stalling.is_overdue(later + Duration::from_secs(3600)));
}

proptest! {
    #[test]
    fn the_split_of_the_input_does_not_matter(cuts in prop::collection::vec(1..30usize, 1..20), extra in 1..300_000usize) {
        let mut bytes = [start(), data_frame(&vec![1; extra.min(MAX_DATA_BYTES)])].concat();
        bytes.extend(&whole()[2 * start().len()..]);
        let mut pieces = VecDeque::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            // Small pieces at both ends, large ones in the middle.
            let cut = if rest.len() > 2000 && rest.len() < bytes.len() - 100 { cut * 1000 } else { *cut };
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push_back(piece.to_vec());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let mut connection = connection(&[], false);
        connection.peer.pieces = pieces;
        let (frames, standing) = run(&mut connection, Instant::now());
        prop_assert_eq!(standing, Standing::Ended);
        prop_assert_eq!((frames.len(), frames[0].len()), (3, extra.min(MAX_DATA_BYTES)));
    }
}
