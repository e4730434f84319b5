//! The version, as the probe shows it to others.

/// What the probe calls itself. A central finds the version of a program in its file by this text (`images` there).
pub(crate) const USER_AGENT: &str = concat!("zonepulse-probe/", env!("CARGO_PKG_VERSION"), " (linux)");

/// The version in [`USER_AGENT`], read from there: what a program says of itself is what its file says.
pub(crate) fn version() -> &'static str {
    // Otherwise the compiler would make another text of it.
    let own = std::hint::black_box(USER_AGENT);
    own.strip_prefix("zonepulse-probe/").and_then(|rest| rest.strip_suffix(" (linux)")).unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_crate() {
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
    }
}
