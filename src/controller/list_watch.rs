//! Lists the objects of one kind and follows their changes, one object in memory at a time.
//!
//! kube's own watcher reads a page of a list at once, and gives up all of it for one object that it cannot read.

use std::{sync::Arc, time::Duration};

use futures::AsyncBufReadExt;
use kube::{Client, api::DynamicObject, runtime::watcher::Event};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    decode::{self, Part},
    list::{Bytes, Error, Items, Large, Query, open, turn},
    split::{self, Item},
};

/// The API server ends a watch after 290 s; one that is silent for longer is dead.
const LONGEST_WATCH: u32 = 290;
/// Time that the end of a watch may take to be heard of.
const MARGIN: Duration = Duration::from_secs(5);

/// Makes of an object's text what is to be told of it; nothing of one that cannot even be named.
pub type Decode<T> = Arc<dyn Fn(&[u8], Read) -> Option<T> + Send + Sync>;

/// How an object is read out of a text.
pub type Read = fn(&[u8], Part) -> Result<DynamicObject, String>;

fn of_event(line: &[u8], part: Part) -> Result<DynamicObject, String> {
    decode::event(line, part).map(|(_, object)| object)
}

/// What makes a watch go on, whatever cannot be read.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: About,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    metadata: Version,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

/// How a watch ends that the API server cannot go on with.
#[derive(Deserialize)]
struct End {
    object: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

enum State {
    /// Everything is to be listed.
    Start,
    Listing(Box<Items>),
    /// Changes after this version are to be watched.
    Listed(String),
    Watching(String, Bytes),
}

/// The objects of one kind: all of them, and then their changes.
pub struct ListWatch<T> {
    client: Client,
    query: Query,
    decode: Decode<T>,
    state: State,
}

impl<T> ListWatch<T> {
    /// Nothing is asked yet.
    pub fn new(client: Client, query: Query, decode: Decode<T>) -> Self {
        Self {
            client,
            query,
            decode,
            state: State::Start,
        }
    }

    /// What comes next. After an error it goes on where that is possible.
    pub async fn next(&mut self) -> Result<Event<T>, Error> {
        loop {
            let told = match std::mem::replace(&mut self.state, State::Start) {
                State::Start => {
                    let items = Items::new(self.client.clone(), self.query.clone());
                    self.state = State::Listing(Box::new(items));
                    Some(Event::Init)
                }
                State::Listing(items) => self.list(items).await?,
                State::Listed(version) => self.open(version).await?,
                State::Watching(version, bytes) => self.watch(version, bytes).await?,
            };
            if let Some(told) = told {
                return Ok(told);
            }
        }
    }

    async fn list(&mut self, mut items: Box<Items>) -> Result<Option<Event<T>>, Error> {
        match items.next().await? {
            Some(item) => {
                let told = match item {
                    Item::Text(text) => {
                        let told = (self.decode)(&text, decode::object);
                        items.give_back(text);
                        told
                    }
                    Item::TooLarge => (self.decode)(&[], decode::object),
                };
                self.state = State::Listing(items);
                Ok(told.map(Event::InitApply))
            }
            None => match items.version() {
                None | Some("") => Err(Error::NoList("it has no resourceVersion".to_owned())),
                Some(version) => {
                    self.state = State::Listed(version.to_owned());
                    Ok(Some(Event::InitDone))
                }
            },
        }
    }

    async fn open(&mut self, version: String) -> Result<Option<Event<T>>, Error> {
        let opened = match self.query.watch(&version, LONGEST_WATCH) {
            Ok(request) => open(&self.client, request).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(bytes) => self.state = State::Watching(version, bytes),
            Err(error) if error.is_expired() => return Err(error),
            Err(error) => {
                self.state = State::Listed(version);
                return Err(error);
            }
        }
        Ok(None)
    }

    async fn watch(&mut self, version: String, mut bytes: Bytes) -> Result<Option<Event<T>>, Error> {
        let longest = Duration::from_secs(LONGEST_WATCH.into()).saturating_add(MARGIN);
        let mut large = None;
        let line = match timeout(longest, line(&mut bytes, &mut large)).await {
            Ok(Ok(Some(line))) => line,
            // It has ended, as every watch does.
            Ok(Ok(None)) | Err(_) => {
                self.state = State::Listed(version);
                return Ok(None);
            }
            Ok(Err(error)) => {
                self.state = State::Listed(version);
                return if is_end(&error) { Ok(None) } else { Err(error.into()) };
            }
        };
        let head: Option<Head> = line.as_deref().and_then(|line| serde_json::from_slice(line).ok());
        let Some(Head { kind, object }) = head else {
            (self.decode)(&[], of_event);
            self.state = State::Watching(version, bytes);
            return Ok(None);
        };
        let line = line.unwrap_or_default();
        if kind == "ERROR" {
            let end: Option<End> = serde_json::from_slice(&line).ok();
            let Status { code, message } = end.map(|end| end.object).unwrap_or_default();
            // Otherwise what it would go on from is too old.
            if code != 410 {
                self.state = State::Listed(version);
            }
            return Err(Error::Ended(message));
        }
        let newer = Some(object.metadata.resource_version).filter(|newer| !newer.is_empty());
        self.state = State::Watching(newer.unwrap_or(version), bytes);
        let tell = match kind.as_str() {
            "ADDED" | "MODIFIED" => Event::Apply,
            "DELETED" => Event::Delete,
            // A bookmark has a version and nothing else.
            _ => return Ok(None),
        };
        Ok((self.decode)(&line, of_event).map(tell))
    }
}

/// The next line; `Some(None)` for one that is too long to be kept, nothing after the last.
async fn line(bytes: &mut Bytes, large: &mut Large) -> std::io::Result<Option<Option<Vec<u8>>>> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let chunk = bytes.fill_buf().await?;
        if chunk.is_empty() {
            // A line that is not whole is not told.
            return Ok(None);
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        too_long |= line.len() + part.len() > split::LARGEST;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let taken = end.map_or(chunk.len(), |end| end + 1);
        bytes.as_mut().consume(taken);
        if end.is_some() && (too_long || !line.is_empty()) {
            return Ok(Some((!too_long).then_some(line)));
        }
        if line.len() > split::SMALL {
            turn(large).await;
        }
    }
}

/// Whoever is between us and the API server ends a watch so.
fn is_end(error: &std::io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    for _ in 0..16 {
        let Some(error) = cause else { break };
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof)
            || error.to_string().contains("unexpected EOF")
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
