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
    /// What the behavior waits for, if it does: that takes neither its time nor a place.
    pause: watch::Sender<Pause>,
    place: Mutex<Option<SemaphorePermit<'a>>>,
}

/// Why a behavior does not go on by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pause {
    /// It does.
    #[default]
    No,
    /// Something is being sent for it, which ends by itself when a stop comes.
    Sending,
    /// Nothing is under way that a stop would cut off.
    Waiting,
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
            pause: watch::Sender::new(Pause::No),
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

    pub(super) fn pauses(&self) -> watch::Receiver<Pause> {
        self.pause.subscribe()
    }

    /// Gives the place to others until `work` has ended and there is one again.
    pub(super) async fn aside<T>(&self, pause: Pause, work: impl Future<Output = T>) -> T {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.pause.send_replace(pause);
        let done = work.await;
        self.pause.send_replace(Pause::Waiting);
        // Nobody closes the semaphore.
        let place = self.crew.places.acquire().await.ok();
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.pause.send_replace(Pause::No);
        done
    }

    /// A stop came, and the attempt ends with it.
    pub(super) async fn stopped<T>(&self) -> T {
        self.pause.send_replace(Pause::Waiting);
        std::future::pending().await
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
