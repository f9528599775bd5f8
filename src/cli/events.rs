//! `events tail`: prints events as they are published. It reads the stream and takes nothing out of it.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::CommandError;
use super::output::{remark, say};
use crate::bus::redis::stream::{StreamEntry, StreamReader};
use crate::config::Config;
use crate::io::Io;

/// How long to wait before Redis is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// What to do with events.
#[derive(Clone, Debug, Subcommand)]
pub enum EventsCommand {
    /// Print the events of the stream, one JSON object a line, until it is interrupted.
    Tail {
        /// Begin after this id of the stream; 0 is its beginning, $ what comes from now on.
        #[arg(long, value_name = "ID", default_value = "$", value_parser = parse_id)]
        from: String,
    },
}

/// `$`, or `MILLISECONDS` or `MILLISECONDS-NUMBER`.
fn parse_id(text: &str) -> Result<String, String> {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let (time, number) = text.split_once('-').unwrap_or((text, "0"));
    if text == "$" || (is_number(time) && is_number(number)) {
        Ok(text.to_owned())
    } else {
        Err("want $, 0, or an id such as 1700000000000-0".to_owned())
    }
}

pub(super) async fn run(config: &Config, io: Io, command: EventsCommand) -> Result<(), CommandError> {
    let EventsCommand::Tail { from } = command;
    let Some(redis) = &config.redis else {
        return Err("there is no stream without REDIS_URL: nothing is published".into());
    };
    let mut reader = StreamReader::open(redis, io, &from).await?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut away = false;
    loop {
        let looked = tokio::select! {
            looked = reader.look() => looked,
            _ = &mut interrupted => return Ok(()),
        };
        match looked {
            Ok(entries) => {
                away = false;
                entries.iter().try_for_each(|entry| say(&line(entry)))?;
            }
            Err(error) => {
                if !away {
                    remark(&format!("Redis is away ({error}); going on from the same place when it is back"));
                    away = true;
                }
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = &mut interrupted => return Ok(()),
                }
            }
        }
    }
}

/// A message that is no JSON, which no node sends, is shown as text.
fn line(entry: &StreamEntry) -> String {
    let data: Value = serde_json::from_str(&entry.data).unwrap_or_else(|_| entry.data.as_str().into());
    json!({"id": entry.id, "channel": entry.channel, "data": data}).to_string()
}
