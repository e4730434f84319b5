//! The table of sessions: by the hash of their tokens, with the time passed in.
//!
//! A user who opens more than [`MOST_OF_USER`] loses the oldest, so nobody can push out the sessions of others. In total
//! there is room for as many sessions of every user that a store may have.

use super::{Counts, LONGEST_MS};
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use zonepulse_store::User;

/// Maximum number of sessions of a user.
pub(super) const MOST_OF_USER: usize = 16;
/// Maximum number of sessions: those of all users of a full store.
pub(super) const MOST: usize = 1000 * MOST_OF_USER;

/// Sessions by the hash of their token.
#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<String, Entry>,
    /// How many were ever opened.
    opened: u64,
    displaced: u64,
}

struct Entry {
    user: String,
    /// The stored hash that the password matched: the session is invalid once the password changes.
    password_hash: String,
    /// Its place among all that were ever opened.
    number: u64,
    opened_ms: u64,
    expires_ms: u64,
}

impl Table {
    /// Adds a session in place of the user's oldest if there are too many, and returns when it expires; `None` if there is
    /// no room.
    pub(super) fn open(&mut self, hash: String, user: &User, idle_ms: u64, now_ms: u64) -> Option<u64> {
        self.displace_oldest_of(&user.name);
        if self.is_full() {
            return None;
        }
        self.opened += 1;
        let mut entry = Entry {
            user: user.name.clone(),
            password_hash: user.password_hash.clone(),
            number: self.opened,
            opened_ms: now_ms,
            expires_ms: 0,
        };
        let expires_ms = entry.extend(idle_ms, now_ms);
        self.entries.insert(hash, entry);
        Some(expires_ms)
    }

    /// The user of a session and the password's hash at its login.
    pub(super) fn find(&self, hash: &str, now_ms: u64) -> Option<(String, String)> {
        let (known, entry) = self.entries.get_key_value(hash)?;
        let is_same = bool::from(known.as_bytes().ct_eq(hash.as_bytes()));
        (is_same && entry.expires_ms > now_ms).then(|| (entry.user.clone(), entry.password_hash.clone()))
    }

    /// Lets a session last longer, and returns when it expires.
    pub(super) fn extend(&mut self, hash: &str, idle_ms: u64, now_ms: u64) -> Option<u64> {
        self.entries.get_mut(hash).map(|entry| entry.extend(idle_ms, now_ms))
    }

    pub(super) fn end(&mut self, hash: &str) {
        self.entries.remove(hash);
    }

    pub(super) fn forget_expired(&mut self, now_ms: u64) {
        self.entries.retain(|_, entry| entry.expires_ms > now_ms);
    }

    /// Ends the sessions of all but these users, and those opened with another password.
    pub(super) fn keep_those_of(&mut self, users: &[User]) {
        let users: HashMap<&str, &str> = users.iter().map(|user| (user.name.as_str(), user.password_hash.as_str())).collect();
        self.entries.retain(|_, entry| users.get(entry.user.as_str()) == Some(&entry.password_hash.as_str()));
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MOST
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { open: self.entries.len() as u64, limit: MOST as u64, displaced: self.displaced }
    }

    fn displace_oldest_of(&mut self, user: &str) {
        let own = || self.entries.iter().filter(|(_, entry)| entry.user == user);
        if own().count() < MOST_OF_USER {
            return;
        }
        let oldest = own().min_by_key(|(_, entry)| entry.number).map(|(hash, _)| hash.clone());
        if oldest.is_some_and(|hash| self.entries.remove(&hash).is_some()) {
            self.displaced += 1;
        }
    }
}

impl Entry {
    fn extend(&mut self, idle_ms: u64, now_ms: u64) -> u64 {
        self.expires_ms = now_ms.saturating_add(idle_ms).min(self.opened_ms.saturating_add(LONGEST_MS));
        self.expires_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_store::Rights;

    fn user(name: &str) -> User {
        let (name, password_hash, rights) = (name.to_owned(), "hash".to_owned(), Rights::NONE);
        User { name, password_hash, administrator: false, created_ms: 1, rights, tokens: Vec::new() }
    }

    /// A table in which these users have opened sessions, named by a number, a millisecond each.
    fn table(users: &[&str]) -> Table {
        let mut table = Table::default();
        for (number, name) in users.iter().enumerate() {
            table.open(number.to_string(), &user(name), 1000, number as u64);
        }
        table
    }

    fn is_open(table: &Table, hash: &str) -> bool {
        table.find(hash, 0).is_some()
    }

    #[test]
    fn the_oldest_session_of_a_user_with_too_many_ends() {
        let mut users = vec!["bob"];
        users.extend(["ann"; MOST_OF_USER + 2]);
        let table = table(&users);
        assert!(is_open(&table, "0"), "it is another user's");
        assert_eq!([1, 2, 3].map(|number| is_open(&table, &number.to_string())), [false, false, true]);
        assert_eq!(table.counts(), Counts { open: MOST_OF_USER as u64 + 1, limit: MOST as u64, displaced: 2 });
    }

    #[test]
    fn a_full_table_takes_no_more_and_keeps_what_it_has() {
        let mut table = Table::default();
        for number in 0..MOST {
            let name = (number / MOST_OF_USER).to_string();
            assert!(table.open(number.to_string(), &user(&name), 1000, 0).is_some());
        }
        assert!(table.is_full() && table.open("new".to_owned(), &user("new"), 1000, 0).is_none());
        assert!(is_open(&table, "0") && !is_open(&table, "new"));
        assert!(table.open("own".to_owned(), &user("0"), 1000, 0).is_some(), "one takes the place of one's own");
        assert!(!is_open(&table, "0") && is_open(&table, "1"));
    }

    #[test]
    fn sessions_of_those_who_left_make_room() {
        let mut table = table(&["ann", "bob", "eve"]);
        let changed = User { password_hash: "other".to_owned(), ..user("bob") };
        table.keep_those_of(&[user("ann"), changed]);
        assert_eq!(["0", "1", "2"].map(|hash| is_open(&table, hash)), [true, false, false]);
    }

    #[test]
    fn what_has_expired_is_not_found_and_makes_room() {
        let mut table = table(&["ann", "bob"]);
        assert!(table.find("0", 999).is_some() && table.find("0", 1000).is_none());
        table.forget_expired(1000);
        assert_eq!(table.counts().open, 1);
    }

    #[test]
    fn no_time_overflows() {
        let mut table = Table::default();
        assert_eq!(table.open("a".to_owned(), &user("ann"), u64::MAX, u64::MAX - 1), Some(u64::MAX));
    }
}
