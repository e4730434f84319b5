//! What is reachable from roots.
//!
//! An RRset is needed if a root *other than itself* leads to it: a used DNAME whose target happens to lead back to it is
//! not needed for that. Following every root separately would be quadratic. But an RRset never has to know more than two
//! different roots that lead to it: if it knows two, then whatever it refers to is reachable from one other than itself.
//! So roots spread as labels, at most two per RRset, breadth first, and every reference is followed twice at most.

use super::{Edge, References};
use crate::set::Slot;

/// RRsets that are reachable from roots other than themselves.
#[derive(Debug, Default)]
pub struct Reached {
    /// Per slot.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    /// The nearest roots that lead here; a root leads to itself.
    roots: [Option<Slot>; 2],
    /// What refers to this RRset on the shortest way from another root.
    referrer: Option<Slot>,
}

impl Reached {
    /// Whether a root other than `slot` leads to it.
    pub fn contains(&self, slot: Slot) -> bool {
        self.referrer(slot).is_some()
    }

    /// What refers to `slot`, on the shortest way from a root; of several equally short ways, the one over the lowest
    /// slot.
    pub fn referrer(&self, slot: Slot) -> Option<Slot> {
        self.rows.get(slot.at())?.referrer
    }

    /// The root at the beginning of that way.
    pub fn root(&self, slot: Slot) -> Option<Slot> {
        let row = self.rows.get(slot.at())?;
        row.referrer.and(row.roots.into_iter().flatten().find(|root| *root != slot))
    }

    /// Notes that `root` leads to `slot`, and returns whether `slot` has to tell its targets.
    fn note(&mut self, slot: Slot, root: Slot, referrer: Slot) -> bool {
        let Some(row) = self.rows.get_mut(slot.at()) else { return false };
        let [first, second] = &mut row.roots;
        let place = match (&first, &second) {
            (None, _) => first,
            (Some(known), None) if *known != root => second,
            _ => return false,
        };
        *place = Some(root);
        if root != slot && row.referrer.is_none() {
            row.referrer = Some(referrer);
        }
        true
    }
}

impl References {
    /// What is reachable from the RRsets for which `is_root` returns true.
    pub fn reach(&self, is_root: impl Fn(Slot) -> bool) -> Reached {
        let mut reached = Reached { rows: vec![Row::default(); self.len()] };
        let mut level: Vec<(Slot, Slot)> = Vec::new();
        let all = (0..self.len() as u32).filter_map(Slot::new);
        for (slot, row) in all.zip(&mut reached.rows).filter(|(slot, _)| is_root(*slot)) {
            row.roots = [Some(slot), None];
            if !self.edges(slot).is_empty() {
                level.push((slot, slot));
            }
        }
        let mut subtrees: Vec<[Option<Slot>; 2]> = vec![[None; 2]; self.subtrees.len()];
        while !level.is_empty() {
            let mut next = Vec::new();
            for (referrer, root) in level {
                let mut visit = |slot: Slot| {
                    if reached.note(slot, root, referrer) && !self.edges(slot).is_empty() {
                        next.push((slot, root));
                    }
                };
                for edge in self.edges(referrer) {
                    match edge {
                        Edge::One(slot) => visit(*slot),
                        Edge::Subtree(subtree) if is_news(&mut subtrees, *subtree, root) => {
                            self.subtree(*subtree).for_each(&mut visit);
                        }
                        Edge::Subtree(_) => {}
                    }
                }
            }
            // The lowest slot is the first to say that it refers to something.
            next.sort_unstable();
            level = next;
        }
        reached
    }
}

/// Whether a subtree has to be told of a root: of two at most, like an RRset.
fn is_news(subtrees: &mut [[Option<Slot>; 2]], subtree: u32, root: Slot) -> bool {
    let Some([first, second]) = subtrees.get_mut(subtree as usize) else { return false };
    let place = match (&first, &second) {
        (None, _) => first,
        (Some(known), None) if *known != root => second,
        _ => return false,
    };
    *place = Some(root);
    true
}
