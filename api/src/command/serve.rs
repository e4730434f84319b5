//! `zonepulse serve`.

use super::{Overlay, Place};
use crate::config::{Settings, room};
use crate::http::{DOCS_PATH, certificate};
use crate::serve::{Live, authority, broker, serve};
use crate::{Error, describe};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use zonepulse_central::accounts::{ADMINISTRATOR, Administrator};
use zonepulse_program::log;

/// Runs the central.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Place,
    /// Listen on this address [default: 127.0.0.1:8053]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Show the effective configuration without secrets, and whether it is valid
    #[arg(long)]
    check_config: bool,
}

impl Serve {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = self.settings()?;
        if self.check_config {
            return check(&Settings { log: overlay.over(settings.log), ..settings });
        }
        let log = overlay.start(&settings);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
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

    async fn serve(&self, settings: Settings, overlay: Overlay, log: log::Handle) -> Result<(), Error> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let serving = serve(&settings, super::sql_worker::processes(), shutdown).await?;
        let mut out = std::io::stdout().lock();
        greet(&mut out, &serving.url(), serving.administrator(), std::io::stdout().is_terminal())?;
        drop(out);
        tracing::info!(url = serving.url(), data = %settings.data.display(), "serving");
        let live = serving.live();
        let finished = serving.finished();
        tokio::pin!(finished);
        loop {
            tokio::select! {
                result = &mut finished => return result,
                Some(()) = hang_up.recv() => self.reload(&settings, overlay, &log, &live),
            }
        }
    }

    /// Reloads the configuration: log settings and the certificate take effect at once, other changes are only reported.
    fn reload(&self, running: &Settings, overlay: Overlay, log: &log::Handle, live: &Live) {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => return tracing::error!(error = describe(&error), "the configuration was not read again"),
        };
        let level = overlay.over(settings.log).level;
        log.set(level);
        settings.warn();
        match live.apply(&settings) {
            Ok(()) => tracing::info!(?level, "the configuration was read again"),
            Err(error) => tracing::error!(error = describe(&error), "the certificate stays what it was"),
        }
        let differ = [
            ("data", settings.data != running.data),
            ("listen", settings.listen != running.listen),
            ("public_urls", settings.public_urls != running.public_urls),
            ("log.format", settings.log.format != running.log.format),
            ("tls", settings.tls.certificate_file.is_some() != running.tls.certificate_file.is_some()),
            ("tls.ca_file", settings.tls.ca_file != running.tls.ca_file),
            ("metrics", settings.metrics != running.metrics),
            ("rabbitmq", settings.rabbitmq != running.rabbitmq),
            ("pull", settings.pull != running.pull),
            ("query", settings.query != running.query),
            ("sql", settings.sql != running.sql),
            ("store", settings.store != running.store),
            ("limits", settings.limits != running.limits),
            ("proxy", settings.proxy != running.proxy),
            ("backup", settings.backup != running.backup),
        ];
        for (key, _) in differ.into_iter().filter(|(_, differs)| *differs) {
            tracing::warn!(key, "this key has changed and needs a restart");
        }
    }
}

/// Shows the effective configuration, and reads the files that it names.
fn check(settings: &Settings) -> Result<ExitCode, Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(settings.to_toml()?.as_bytes())?;
    out.flush()?;
    settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    settings.check_data()?;
    if let Some(key) = &settings.tls.key_file {
        zonepulse_private::check_key(key)?;
    }
    certificate(&settings.tls)?;
    broker(&settings.rabbitmq)?;
    authority(&settings.pull)?;
    if let Some(warning) = room::check(settings)? {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the address and the credentials. The password is shown only on a terminal: anything else, such as a journal, would
/// keep it for others to read.
fn greet(out: &mut impl Write, url: &str, administrator: &Administrator, is_terminal: bool) -> Result<(), Error> {
    writeln!(out, "Zonepulse is at {url}/")?;
    match administrator {
        Administrator::Made { password, file } if is_terminal => {
            writeln!(out, "  user      {ADMINISTRATOR}")?;
            writeln!(out, "  password  {}", password.reveal())?;
            writeln!(out, "            made now, and written to {}", file.display())?;
        }
        Administrator::Made { file, .. } | Administrator::Written(file) => {
            writeln!(out, "  user {ADMINISTRATOR}, password in {}", file.display())?;
        }
        Administrator::Known => writeln!(out, "  users: see `zonepulse user list`")?,
        Administrator::Missing(user) => {
            writeln!(out, "  no user is an administrator; stop this, and give one the right:")?;
            writeln!(out, "            zonepulse user rights {user} --administrator true")?;
        }
    }
    writeln!(out, "  the API   {url}{}/", DOCS_PATH)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_administrator_says_how_to_get_one() {
        for name in ["admin", "Admin"] {
            let mut out = Vec::new();
            greet(&mut out, "http://127.0.0.1:8053", &Administrator::Missing(name.to_owned()), false).unwrap();
            let expected = format!("zonepulse user rights {name} --administrator true");
            assert!(String::from_utf8(out).unwrap().contains(&expected));
        }
    }

    #[test]
    fn the_first_password_shows_on_a_terminal_only() {
        let made = Administrator::Made { password: "hush".into(), file: "/data/admin-credentials".into() };
        let said = |is_terminal| {
            let mut out = Vec::new();
            greet(&mut out, "http://127.0.0.1:8053", &made, is_terminal).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(said(true).contains("hush") && said(true).contains("/data/admin-credentials"));
        assert!(!said(false).contains("hush") && said(false).contains("/data/admin-credentials"));
    }
}
