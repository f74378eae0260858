//! A stage for tests of behaviors, with nothing behind it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::conversation::Media;
use launcher_runtime::ports::{Answered, BehaviorFault, FetchFault, Memory, Question, Stage};

/// A stage that keeps what it is given, and answers as it was told.
#[derive(Default)]
pub(crate) struct Props {
    pub(crate) attempt: u32,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) drafts: Mutex<Vec<String>>,
    pub(crate) noted: Mutex<Option<Vec<u8>>>,
    /// How often something was noted.
    pub(crate) notes: Mutex<usize>,
    pub(crate) memories: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// How long it takes to get one.
    pub(crate) fetching: Duration,
    pub(crate) asked: Mutex<Vec<Question>>,
    /// What is answered to the next questions; nobody answers the others.
    pub(crate) answers: Mutex<VecDeque<Answered>>,
}

impl Props {
    /// With a file that a media source leads to.
    pub(crate) fn with_file(mut self, source: &str, bytes: &[u8]) -> Self {
        self.files.insert(source.to_owned(), bytes.to_vec());
        self
    }
}

#[async_trait]
impl Stage for Props {
    fn attempt(&self) -> u32 {
        self.attempt.max(1)
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }

    fn draft(&self, text: &str) {
        self.drafts.lock().unwrap().push(text.to_owned());
    }

    fn noted(&self) -> Option<Vec<u8>> {
        self.noted.lock().unwrap().clone()
    }

    async fn note(&self, work: Vec<u8>) -> Result<(), BehaviorFault> {
        *self.noted.lock().unwrap() = Some(work);
        *self.notes.lock().unwrap() += 1;
        Ok(())
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        Ok(self.memories.lock().unwrap().get(key).cloned())
    }

    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault> {
        let mut known = self.memories.lock().unwrap();
        for Memory { key, value } in memories {
            match value {
                Some(value) => known.insert(key, value),
                None => known.remove(&key),
            };
        }
        Ok(())
    }

    async fn fetch(&self, media: &Media, limit: u64) -> Result<Vec<u8>, FetchFault> {
        tokio::time::sleep(self.fetching).await;
        match self.files.get(media.source.expose()) {
            Some(bytes) if bytes.len() as u64 > limit => Err(FetchFault::TooLarge { limit }),
            Some(bytes) => Ok(bytes.clone()),
            None => Err(FetchFault::Gone { detail: "M_NOT_FOUND".to_owned() }),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answered, BehaviorFault> {
        self.asked.lock().unwrap().push(question);
        Ok(self.answers.lock().unwrap().pop_front().unwrap_or(Answered::Expired))
    }
}
