//! Places: the number of connections, who occupies them, and which one is closed at a limit.

use crate::address::network;
use crate::limits::Limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

/// Limits on the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In total.
    pub connections: usize,
    /// Unauthenticated connections per address or IPv6 /64.
    pub per_address: usize,
    /// Places reserved for authenticated connections.
    pub reserved: usize,
    /// Connections of one principal that count as authenticated; any others may be displaced.
    pub per_principal: usize,
}

impl Bounds {
    /// Limits only the total.
    pub fn at_most(connections: usize) -> Self {
        Bounds { connections, per_address: connections, reserved: 0, per_principal: connections }
    }

    /// Places guaranteed to newcomers, so that they can authenticate.
    fn newcomers(&self) -> usize {
        (self.connections / 8).max(1)
    }

    fn most_proven(&self) -> usize {
        self.connections.saturating_sub(self.newcomers())
    }
}

/// Counts of closed connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// To make room for another.
    pub displaced: u64,
    /// Because a head, a handshake or a next request did not arrive in time.
    pub timed_out: u64,
    /// Because the client did not read its answer.
    pub unread: u64,
    /// Because a TLS handshake failed or took too long.
    pub failed_handshakes: u64,
}

/// The places of a listener. Clones share them.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    began: Instant,
    room: Mutex<Room>,
    displaced: Arc<AtomicU64>,
    timed_out: AtomicU64,
    unread: AtomicU64,
    failed_handshakes: AtomicU64,
}

#[derive(Debug, Default)]
struct Room {
    next: u64,
    guests: HashMap<u64, Guest>,
    /// Unauthenticated guests by address.
    unproven: HashMap<IpAddr, usize>,
    proven: HashMap<u64, usize>,
    proven_total: usize,
}

#[derive(Debug)]
struct Guest {
    state: Arc<State>,
    network: IpAddr,
    /// The principal as which it authenticated.
    proven: Option<u64>,
}

/// What a guest is doing, as needed to choose which one to displace.
#[derive(Debug)]
struct State {
    /// The phase in the lowest two bits; above them its start, milliseconds after the listener
    /// started.
    phase: AtomicU64,
    /// The principal as which it last authenticated, or 0.
    principal: AtomicU64,
    /// Whether its last request line was too long and is truncated.
    cut_off: AtomicBool,
    displaced: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A handshake or a request head is awaited.
    Head,
    /// A request is being received or answered.
    Active,
    /// Between two requests.
    Idle,
    /// It was answered and is closing.
    Leaving,
}

/// The principal of connections through a trusted proxy.
const PROXY: u64 = u64::MAX;

impl Places {
    /// Creates free places.
    pub fn new(bounds: Bounds) -> Self {
        Places::counting(bounds, Arc::default())
    }

    /// The same; displaced connections are added to this counter.
    pub fn counting(bounds: Bounds, displaced: Arc<AtomicU64>) -> Self {
        let connections = bounds.connections.max(1);
        let bounds = Bounds { connections, per_address: bounds.per_address.max(1), ..bounds };
        let reserved = bounds.reserved.min(bounds.most_proven());
        Places(Arc::new(Shared {
            bounds: Bounds { reserved, ..bounds },
            began: Instant::now(),
            room: Mutex::default(),
            displaced,
            timed_out: AtomicU64::default(),
            unread: AtomicU64::default(),
            failed_handshakes: AtomicU64::default(),
        }))
    }

    /// Number of open connections.
    pub fn open(&self) -> usize {
        self.0.room().guests.len()
    }

    /// Number of authenticated connections.
    pub fn authenticated(&self) -> usize {
        self.0.room().proven_total
    }

    /// Maximum number of connections.
    pub fn most(&self) -> usize {
        self.0.bounds.connections
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shared = &self.0;
        Counts {
            displaced: of(&shared.displaced),
            timed_out: of(&shared.timed_out),
            unread: of(&shared.unread),
            failed_handshakes: of(&shared.failed_handshakes),
        }
    }

    /// Takes a place for a connection from this address, displacing another if necessary. A trusted
    /// proxy's connections belong to many clients, so the limit per address does not apply.
    pub(crate) fn enter(&self, address: IpAddr, is_proxy: bool) -> Seat {
        let shared = &self.0;
        let network = network(address);
        let mut room = shared.room();
        let proven = (is_proxy && room.proven_total < shared.bounds.most_proven()).then_some(PROXY);
        if proven.is_none() && room.unproven_of(network) >= shared.bounds.per_address {
            shared.displace(&mut room, |guest| guest.network == network);
        }
        let state = Arc::new(State {
            phase: AtomicU64::new(0),
            principal: AtomicU64::new(proven.unwrap_or_default()),
            cut_off: AtomicBool::new(false),
            displaced: Notify::new(),
        });
        let id = room.next;
        room.next += 1;
        room.guests.insert(id, Guest { state: state.clone(), network, proven });
        room.count(network, proven);
        let visitor = Visitor { id, state, shared: shared.clone() };
        visitor.set(Phase::Head);
        shared.fit(&mut room, Some(&visitor.state));
        Seat(visitor)
    }

    /// Takes a place at once for a connection that is no HTTP. The future serves it until its place is given to another.
    pub fn hold<F: Future<Output = ()>>(&self, address: IpAddr, served: F) -> impl Future<Output = ()> + use<F> {
        let seat = self.enter(address, false);
        async move {
            tokio::select! {
                () = seat.visitor().displaced() => {}
                () = served => {}
            }
        }
    }

    /// Closes a connection because the system has no resources for more.
    pub(crate) fn make_room(&self) {
        self.0.displace(&mut self.0.room(), |_| true);
    }

    pub(crate) fn handshake_failed(&self) {
        self.0.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room> {
        // Every change is complete before the lock is released, so poisoning can be ignored.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes connections until the rest fit, but never the newcomer's.
    fn fit(&self, room: &mut Room, newcomer: Option<&Arc<State>>) {
        let is_other = |guest: &Guest| newcomer.is_none_or(|newcomer| !Arc::ptr_eq(newcomer, &guest.state));
        while room.guests.len() - room.proven_total > self.bounds.connections - self.bounds.reserved.max(room.proven_total) {
            if !self.displace(room, is_other) {
                break;
            }
        }
    }

    /// Displaces one of these connections that is not authenticated: preferably one without a
    /// request, otherwise any; in both cases the one that has been in this state for longest.
    fn displace(&self, room: &mut Room, may_go: impl Fn(&Guest) -> bool) -> bool {
        let candidates = room.guests.iter().filter(|(_, guest)| guest.proven.is_none() && may_go(guest));
        let victim = candidates.min_by_key(|(id, guest)| {
            let (phase, since_ms) = guest.state.read();
            (phase == Phase::Active, since_ms, **id)
        });
        let Some(id) = victim.map(|(id, _)| *id) else { return false };
        if let Some(guest) = room.remove(id) {
            guest.state.displaced.notify_one();
            self.displaced.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl Room {
    fn unproven_of(&self, network: IpAddr) -> usize {
        self.unproven.get(&network).copied().unwrap_or_default()
    }

    fn count(&mut self, network: IpAddr, proven: Option<u64>) {
        match proven {
            Some(principal) => {
                *self.proven.entry(principal).or_default() += 1;
                self.proven_total += 1;
            }
            None => *self.unproven.entry(network).or_default() += 1,
        }
    }

    fn discount(&mut self, network: IpAddr, proven: Option<u64>) {
        match proven {
            Some(principal) => {
                one_less(&mut self.proven, principal);
                self.proven_total = self.proven_total.saturating_sub(1);
            }
            None => one_less(&mut self.unproven, network),
        }
    }

    fn remove(&mut self, id: u64) -> Option<Guest> {
        let guest = self.guests.remove(&id)?;
        self.discount(guest.network, guest.proven);
        Some(guest)
    }
}

/// Decrements a count, and removes it at zero.
fn one_less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

impl State {
    fn read(&self) -> (Phase, u64) {
        let value = self.phase.load(Ordering::Relaxed);
        let phase = match value & 3 {
            0 => Phase::Head,
            1 => Phase::Active,
            2 => Phase::Idle,
            _ => Phase::Leaving,
        };
        (phase, value >> 2)
    }
}

/// A connection's place, released when dropped.
pub(crate) struct Seat(Visitor);

impl Seat {
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.shared.room().remove(self.0.id);
    }
}

/// The client in a place. Requests carry it in their extensions.
#[derive(Debug, Clone)]
pub struct Visitor {
    id: u64,
    state: Arc<State>,
    shared: Arc<Shared>,
}

impl Visitor {
    /// Records that the client has authenticated as this principal, which must not be 0. From then
    /// on its connection is not displaced, unless the principal has too many.
    pub fn prove(&self, principal: u64) {
        let known = self.state.principal.load(Ordering::Relaxed);
        if known == principal || known == PROXY {
            return;
        }
        let mut room = self.shared.room();
        let bounds = &self.shared.bounds;
        let of_principal = room.proven.get(&principal).copied().unwrap_or_default();
        let Some(guest) = room.guests.get(&self.id) else { return };
        let (network, before) = (guest.network, guest.proven);
        let has_room = before.is_some() || room.proven_total < bounds.most_proven();
        if of_principal >= bounds.per_principal || !has_room {
            return;
        }
        room.discount(network, before);
        room.count(network, Some(principal));
        if let Some(guest) = room.guests.get_mut(&self.id) {
            guest.proven = Some(principal);
        }
        self.state.principal.store(principal, Ordering::Relaxed);
        self.shared.fit(&mut room, None);
    }

    /// Whether the request is truncated because its request line was too long: answer 414.
    pub fn was_cut_off(&self) -> bool {
        self.state.cut_off.load(Ordering::Relaxed)
    }

    pub(crate) fn cut_off(&self) {
        self.state.cut_off.store(true, Ordering::Relaxed);
    }

    fn set(&self, phase: Phase) {
        let since_ms = self.shared.began.elapsed().as_millis() as u64;
        self.state.phase.store((since_ms << 2) | phase as u64, Ordering::Relaxed);
    }

    /// A request head is complete.
    pub(crate) fn asked(&self) {
        self.set(Phase::Active);
    }

    /// The answer has been sent.
    pub(crate) fn answered(&self) {
        self.set(Phase::Idle);
    }

    /// Nothing more will be answered.
    pub(crate) fn leaves(&self) {
        self.set(Phase::Leaving);
    }

    /// Bytes of a head have arrived; returns whether they start the next request.
    pub(crate) fn begins(&self) -> bool {
        let is_next = self.state.read().0 == Phase::Idle;
        if is_next {
            self.set(Phase::Head);
        }
        is_next
    }

    pub(crate) fn awaits_head(&self) -> bool {
        self.state.read().0 == Phase::Head
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state.read().0 == Phase::Active
    }

    pub(crate) fn did_not_read(&self) {
        self.shared.unread.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the place is given to another.
    pub(crate) async fn displaced(&self) {
        self.state.displaced.notified().await;
    }

    /// Waits until a deadline has passed, and counts that. Bodies and answers have deadlines of
    /// their own.
    pub(crate) async fn overdue(&self, limits: &Limits) {
        loop {
            let (phase, since_ms) = self.state.read();
            let longest = match phase {
                Phase::Head => limits.head,
                Phase::Idle => limits.idle,
                Phase::Leaving => limits.linger,
                Phase::Active => {
                    sleep((limits.head / 8).max(Duration::from_millis(10))).await;
                    continue;
                }
            };
            let due = self.shared.began + Duration::from_millis(since_ms) + longest;
            if due <= Instant::now() {
                if phase != Phase::Leaving {
                    self.shared.timed_out.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            // Check again early enough for a shorter phase that begins in the meantime.
            let soon = Instant::now() + limits.head.min(limits.linger);
            sleep_until(due.min(soon).into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn places(connections: usize, per_address: usize, reserved: usize) -> Places {
        Places::new(Bounds { connections, per_address, reserved, per_principal: 2 })
    }

    fn is_in(places: &Places, seat: &Seat) -> bool {
        places.0.room().guests.contains_key(&seat.0.id)
    }

    #[test]
    fn a_place_is_given_back() {
        let places = places(4, 4, 0);
        let seat = places.enter(address(1), false);
        seat.visitor().prove(7);
        assert_eq!((places.open(), places.authenticated()), (1, 1));
        drop(seat);
        assert_eq!((places.open(), places.authenticated()), (0, 0));
        assert!(places.0.room().unproven.is_empty() && places.0.room().proven.is_empty());
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_oldest_without_a_request() {
        let places = places(3, 3, 0);
        let [active, waiting, younger] = [1, 2, 3].map(|last| places.enter(address(last), false));
        active.visitor().asked();
        let newcomer = places.enter(address(4), false);
        assert_eq!([&active, &waiting, &younger, &newcomer].map(|seat| is_in(&places, seat)), [true, false, true, true]);
        [&younger, &newcomer].into_iter().for_each(|seat| seat.visitor().asked());
        let last = places.enter(address(5), false);
        assert!(is_in(&places, &last) && places.open() == 3 && places.counts().displaced == 2);
    }

    #[test]
    fn a_newcomer_is_let_in_where_all_others_are_being_answered() {
        let places = places(3, 3, 0);
        let seats = [1, 2, 3].map(|last| places.enter(address(last), false));
        seats.iter().for_each(|seat| seat.visitor().asked());
        let newcomer = places.enter(address(4), false);
        assert!(is_in(&places, &newcomer) && !is_in(&places, &seats[0]));
    }

    #[test]
    fn an_address_at_its_bound_displaces_its_own() {
        let places = places(100, 2, 0);
        let other = places.enter(address(9), false);
        let seats: Vec<Seat> = (0..5).map(|_| places.enter(address(1), false)).collect();
        assert!(is_in(&places, &other));
        assert_eq!(seats.iter().map(|seat| is_in(&places, seat)).collect::<Vec<_>>(), [false, false, false, true, true]);
    }

    #[test]
    fn an_authenticated_client_keeps_its_place() {
        let places = places(8, 8, 2);
        let probe = places.enter(address(1), false);
        probe.visitor().prove(1);
        let seats: Vec<Seat> = (0..200).map(|n| places.enter(address(n), false)).collect();
        assert!(is_in(&places, &probe));
        assert_eq!((places.open(), seats.iter().filter(|seat| is_in(&places, seat)).count()), (7, 6), "2 places are reserved");
        // The reserve is available to the next probe.
        let other = seats.last().unwrap();
        other.visitor().prove(2);
        assert_eq!((places.open(), places.authenticated()), (7, 2));
        assert_eq!((places.enter(address(3), false), places.open()).1, 8);
    }

    #[test]
    fn one_principal_cannot_take_the_reserve() {
        let places = places(16, 16, 8);
        let seats: Vec<Seat> = (0..16).map(|_| places.enter(address(1), false)).collect();
        seats.iter().for_each(|seat| seat.visitor().prove(5));
        assert_eq!(places.authenticated(), 2);
        let newcomer = places.enter(address(2), false);
        newcomer.visitor().prove(6);
        assert!(is_in(&places, &newcomer) && places.authenticated() == 3);
    }

    #[test]
    fn newcomers_find_a_place_however_many_clients_have_authenticated() {
        let places = places(16, 16, 4);
        let seats: Vec<Seat> = (0..32).map(|_| places.enter(address(1), false)).collect();
        for (number, seat) in seats.iter().enumerate() {
            seat.visitor().prove(number as u64 + 1);
        }
        let more: Vec<Seat> = (0..32).map(|number| places.enter(address(number), false)).collect();
        for (number, seat) in more.iter().enumerate() {
            seat.visitor().prove(number as u64 + 100);
        }
        assert_eq!((places.authenticated(), places.open()), (14, 16));
        assert!(is_in(&places, &places.enter(address(99), false)));
    }

    #[test]
    fn a_trusted_proxy_has_no_bound_per_address() {
        let places = places(16, 2, 4);
        let seats: Vec<Seat> = (0..10).map(|_| places.enter(address(1), true)).collect();
        assert!(seats.iter().all(|seat| is_in(&places, seat)));
    }
}
