//! A plan in three lines: machine, disk and network.

use super::figures::Figures;

/// The lines for these figures. `widest` has the figures with all records active, if the number of active records is
/// a guess.
pub fn summary(figures: &Figures, widest: Option<&Figures>) -> [String; 3] {
    let told = |name: &str| figures.told(name);
    let (disk, network) = match widest {
        Some(widest) => (
            format!("{} with all records active and", widest.told("most_disk")),
            format!("up to {} with all records active, and ", widest.told("recommended_network")),
        ),
        None => (format!("{} with", told("most_disk")), String::new()),
    };
    [
        format!(
            "machine  {}, {} of memory ({} while little is asked, up to {} in a flood of random names)",
            told("recommended_cores"),
            told("recommended_memory"),
            told("least_memory"),
            told("most_memory")
        ),
        format!("disk     {} ({} of it data; up to {disk} the names of a flood)", told("recommended_disk"), told("disk_steady")),
        format!(
            "network  {} ({} in batches; {network}{} more for each server that is flooded)",
            told("recommended_network"),
            told("payload"),
            told("flood_network")
        ),
    ]
}
