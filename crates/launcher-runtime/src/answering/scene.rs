//! What one behavior can do while it works on one message.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use launcher_core::{
    conversation::{Media, Message},
    fault::Fault,
};
use tokio::sync::{SemaphorePermit, watch};

use super::{Crew, asking};
use crate::ports::{
    Answered, BehaviorFault, FetchFault, Memory, Question, Stage,
    journal::{Number, Queued},
};

/// One attempt at one message.
pub(super) struct Scene<'a> {
    pub(super) crew: &'a Crew,
    pub(super) number: Number,
    pub(super) message: &'a Message,
    pub(super) attempt: u32,
    /// What is set in its room.
    settings: BTreeMap<String, String>,
    noted: Mutex<Option<Vec<u8>>>,
    /// What there is of the answer.
    draft: watch::Sender<Option<String>>,
    /// Whether the behavior waits for somebody: that takes neither its time nor a place.
    waiting: watch::Sender<bool>,
    place: Mutex<Option<SemaphorePermit<'a>>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        crew: &'a Crew,
        queued: &'a Queued,
        attempt: u32,
        place: Option<SemaphorePermit<'a>>,
    ) -> Self {
        Self {
            crew,
            number: queued.number,
            message: &queued.message,
            attempt,
            settings: crew.settings.in_room(&crew.spec, &queued.message.room),
            noted: Mutex::new(queued.work.clone()),
            draft: watch::Sender::new(None),
            waiting: watch::Sender::new(false),
            place: Mutex::new(place),
        }
    }

    /// What is noted by now.
    pub(super) fn noted_now(&self) -> Option<Vec<u8>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn drafts(&self) -> watch::Receiver<Option<String>> {
        self.draft.subscribe()
    }

    pub(super) fn waits(&self) -> watch::Receiver<bool> {
        self.waiting.subscribe()
    }

    /// Gives the place to others until `work` has ended.
    pub(super) async fn aside<T>(&self, work: impl Future<Output = T>) -> T {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.waiting.send_replace(true);
        let done = work.await;
        self.waiting.send_replace(false);
        // Nobody closes the semaphore.
        let place = self.crew.places.acquire().await.ok();
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        done
    }
}

#[async_trait]
impl Stage for Scene<'_> {
    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }

    fn draft(&self, text: &str) {
        self.draft.send_replace(Some(text.to_owned()));
    }

    fn noted(&self) -> Option<Vec<u8>> {
        self.noted_now()
    }

    async fn note(&self, work: Vec<u8>) -> Result<(), BehaviorFault> {
        self.crew.journal.note_work(self.number, &work).await.map_err(journal)?;
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        Ok(())
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        self.crew.journal.recall(key).await.map_err(journal)
    }

    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault> {
        self.crew.journal.remember(&memories).await.map_err(journal)
    }

    async fn fetch(&self, media: &Media, limit: u64) -> Result<Vec<u8>, FetchFault> {
        self.crew.session.fetch(media, limit).await
    }

    async fn ask(&self, question: Question) -> Result<Answered, BehaviorFault> {
        asking::ask(self, question).await
    }
}

pub(crate) fn journal(fault: Fault) -> BehaviorFault {
    BehaviorFault::new(format!("the journal: {fault}"))
}
