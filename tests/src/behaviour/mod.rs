//! What the whole of Zonepulse does. One module per behaviour.

mod chaos;
mod credentials;
mod exactly_once;
mod filters;
mod formats;
mod live;
mod parameters;
mod public_captures;
mod refusals;
mod restarts;
mod whole_capture;

use libtest_mimic::Trial;

/// Every test, those first that take longest: the others run beside them.
pub fn all() -> Vec<Trial> {
    [
        chaos::trials(),
        live::trials(),
        whole_capture::trials(),
        exactly_once::trials(),
        refusals::trials(),
        restarts::trials(),
        filters::trials(),
        formats::trials(),
        parameters::trials(),
        credentials::trials(),
        public_captures::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
