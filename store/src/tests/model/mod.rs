//! Random schedules against a plain model in memory.
//!
//! A schedule commits batches (new, copied, late, early, of several epochs and
//! lengths of interval), moves the clock both ways, changes retentions, does
//! steps of upkeep, opens the store again, and ends the process at writes.
//! In one of five a server has more epochs than are remembered, so what comes late of those is refused.
//! Two schedules of three keep the second of a last access in points, the third all of it.
//! After every action the points of a level, sums, totals, coverage and the observation ledger must be
//! what the model says, and those of every level at the end. The disk is one in
//! memory: nothing is waited for, and an end of the process at a write leaves
//! what a real one would. `ZONEPULSE_TESTS_SCHEDULES` says how many schedules (1,000),
//! `ZONEPULSE_TESTS_SEED` where to begin; a schedule that fails tells its seed.

mod plain;
mod schedule;
mod splits;
mod verify;

use crate::Level;
use crate::database::testing::remove;
use crate::tests::driver;
use schedule::Schedule;

fn run(seed: u64) -> [u64; 3] {
    let mut schedule = Schedule::new(seed);
    let actions = 10 + schedule.driver.random.below(30);
    let run = |schedule: &mut Schedule| {
        for _ in 0..actions {
            schedule.act();
            // What is wrong stays wrong: the levels take turns until the end.
            let level = schedule.driver.random.of(&Level::ALL);
            schedule.verify(&[level]);
        }
        schedule.driver.open_again();
        schedule.verify(&Level::ALL);
        assert_eq!(schedule.driver.store().check().unwrap().faults, Vec::<String>::new());
    };
    driver::run(seed, &mut schedule, |schedule| &schedule.driver.log, run);
    remove(schedule.driver.close());
    schedule.done
}

fn add(sum: [u64; 3], done: [u64; 3]) -> [u64; 3] {
    [0, 1, 2].map(|at| sum[at] + done[at])
}

#[test]
fn whatever_happens_answers_are_those_of_a_plain_model() {
    let seeds = driver::seeds(1000);
    let count = seeds.end - seeds.start;
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let done = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let mine = (seeds.start + thread..seeds.end).step_by(threads as usize);
                scope.spawn(move || mine.map(run).fold([0; 3], add))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).fold([0; 3], add)
    });
    println!("{count} schedules: {done:?} points sealed, horizons moved, records swept");
    assert!(count < 100 || done.iter().all(|count| *count > 0), "{done:?}");
}
