//! `zonepulse serve`.

use super::{Overlay, Place};
use crate::accounts::{ADMINISTRATOR, Administrator};
use crate::config::Settings;
use crate::serve::serve;
use crate::{Error, describe, logging};
use clap::Args;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The central.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Place,
    /// Listen on this address [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = self.settings()?;
        let log = logging::start(overlay.over(settings.log));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().thread_stack_size(zonepulse_query::STACK_BYTES).enable_all().build()?;
        runtime.block_on(self.serve(settings, overlay, log))?;
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self) -> Result<Settings, Error> {
        let mut settings = self.place.settings()?;
        if let Some(listen) = self.listen {
            settings.listen = listen;
        }
        Ok(settings)
    }

    async fn serve(&self, settings: Settings, overlay: Overlay, log: logging::Handle) -> Result<(), Error> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let serving = serve(&settings, shutdown).await?;
        greet(serving.address(), serving.administrator())?;
        tracing::info!(address = %serving.address(), data = %settings.data.display(), "serving");
        let finished = serving.finished();
        tokio::pin!(finished);
        loop {
            tokio::select! {
                result = &mut finished => return result,
                Some(()) = hang_up.recv() => self.reload(&settings, overlay, &log),
            }
        }
    }

    /// Reads the configuration again: the log level counts at once, the rest is told.
    fn reload(&self, running: &Settings, overlay: Overlay, log: &logging::Handle) {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => return tracing::error!(error = describe(&error), "the configuration was not read again"),
        };
        let level = overlay.over(settings.log).level;
        log.set(level);
        tracing::info!(?level, "the configuration was read again");
        let differ = [
            ("data", settings.data != running.data),
            ("listen", settings.listen != running.listen),
            ("public_urls", settings.public_urls != running.public_urls),
            ("log.format", settings.log.format != running.log.format),
            ("amqp", settings.amqp != running.amqp),
            ("query", settings.query != running.query),
            ("sql", settings.sql != running.sql),
            ("store", settings.store != running.store),
            ("limits", settings.limits != running.limits),
        ];
        for (key, _) in differ.into_iter().filter(|(_, differs)| *differs) {
            tracing::warn!(key, "this key has changed and needs a restart");
        }
    }
}

/// Says on standard output where it is, and who may come in.
fn greet(address: SocketAddr, administrator: &Administrator) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Zonepulse is at http://{address}/")?;
    match administrator {
        Administrator::Made { password, file } => {
            writeln!(out, "  user      {ADMINISTRATOR}")?;
            writeln!(out, "  password  {password}")?;
            writeln!(out, "            made now, and written to {}", file.display())?;
        }
        Administrator::Written(file) => writeln!(out, "  user {ADMINISTRATOR}, password in {}", file.display())?,
        Administrator::Known => writeln!(out, "  users: see `zonepulse user list`")?,
    }
    writeln!(out, "  the API   http://{address}{}/", crate::openapi::DOCS_PATH)?;
    Ok(out.flush()?)
}
