//! What is written down of an import: how many of each kind, who was refused and why, and which ids have
//! changed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::cli::CommandError;
use crate::cli::output::{say, say_json};
use crate::domain::ids::UserId;
use crate::storage::legacy::LegacySessions;

/// How many there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) added: u64,
    pub(super) present: u64,
    /// Of those present: their address belongs to an account with another id.
    pub(super) present_under_another_id: u64,
    /// Of those added: they have no password yet.
    pub(super) without_password: u64,
    pub(super) updated: u64,
    pub(super) refused: u64,
}

/// Files beside the import; without a path nothing is written.
pub(super) struct Record {
    pub(super) tally: Tally,
    report: Option<(PathBuf, BufWriter<File>)>,
    id_map: Option<csv::Writer<File>>,
}

impl Record {
    /// Begins both files anew.
    pub(super) fn open(report: Option<&Path>, id_map: Option<&Path>) -> Result<Self, CommandError> {
        let create = |path: &Path| {
            File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        let report = report.map(|path| Ok::<_, String>((path.to_owned(), BufWriter::new(create(path)?))));
        let mut id_map = id_map.map(|path| create(path).map(csv::Writer::from_writer)).transpose()?;
        if let Some(map) = &mut id_map {
            map.write_record(["old_id", "id"])?;
        }
        Ok(Self { tally: Tally::default(), report: report.transpose()?, id_map })
    }

    /// Somebody who is not as the other application has it. `field` is what is at fault, where it is one
    /// thing.
    pub(super) fn tell(
        &mut self,
        line: u64,
        id: Option<&str>,
        field: Option<&str>,
        why: &str,
    ) -> Result<(), CommandError> {
        if let Some((_, report)) = &mut self.report {
            writeln!(report, "{}", json!({"line": line, "id": id, "field": field, "why": why}))?;
        }
        Ok(())
    }

    /// Somebody whose id here is this one.
    pub(super) fn map(&mut self, old: Option<&str>, id: UserId) -> Result<(), CommandError> {
        let id = id.to_string();
        if let (Some(map), Some(old)) = (&mut self.id_map, old.filter(|old| *old != id)) {
            map.write_record([old, &id])?;
        }
        Ok(())
    }

    /// Closes the files and prints the summary. A failure, where somebody was refused.
    pub(super) fn finish(mut self, ending: &Ending) -> Result<(), CommandError> {
        if let Some((_, report)) = &mut self.report {
            report.flush()?;
        }
        if let Some(map) = &mut self.id_map {
            map.flush()?;
        }
        self.say_summary(ending)?;
        match (self.tally.refused, &self.report) {
            (0, _) => Ok(()),
            (refused, Some((path, _))) => {
                Err(format!("{refused} of {} were refused: see {}", self.tally.read, path.display()).into())
            }
            (refused, None) => {
                Err(format!("{refused} of {} were refused: --report FILE tells why", self.tally.read).into())
            }
        }
    }

    fn say_summary(&self, ending: &Ending) -> Result<(), CommandError> {
        let (tally, seconds) = (&self.tally, ending.took.as_secs_f64());
        if ending.json {
            let sessions = ending.sessions.map(|left| json!({"live": left.live, "users": left.users}));
            let mut summary =
                json!({"dryRun": ending.dry_run, "seconds": seconds, "legacySessions": sessions});
            if let (Some(summary), serde_json::Value::Object(counts)) =
                (summary.as_object_mut(), serde_json::to_value(tally)?)
            {
                summary.extend(counts);
            }
            return say_json(&summary);
        }
        let title = if ending.dry_run { "dry run: nothing was changed" } else { "imported" };
        say(&format!("{title} ({seconds:.1} s)"))?;
        let present = match tally.present_under_another_id {
            0 => tally.present.to_string(),
            other => format!("{}, {other} of them under another id", tally.present),
        };
        let added = match tally.without_password {
            0 => tally.added.to_string(),
            some => format!("{}, {some} of them without a password", tally.added),
        };
        for (name, value) in [
            ("read", tally.read.to_string()),
            ("added", added),
            ("present", present),
            ("updated", tally.updated.to_string()),
            ("refused", tally.refused.to_string()),
        ] {
            say(&format!("  {name:<8} {value}"))?;
        }
        if let Some(LegacySessions { live, users }) = ending.sessions {
            say(&format!(
                "{live} live sessions of {users} users stay behind: their tokens were made with keys and in a form that \
                 this service does not know. These people sign in once more."
            ))?;
        }
        Ok(())
    }
}

/// What the summary says beside the counts.
pub(super) struct Ending {
    pub(super) took: Duration,
    pub(super) dry_run: bool,
    pub(super) json: bool,
    /// Sessions of the old application, where they were asked for.
    pub(super) sessions: Option<LegacySessions>,
}
