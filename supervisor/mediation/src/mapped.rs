//! What clients do with the driver's shared pages, as the mediator sees it.

use std::os::fd::OwnedFd;

use nvidia_abi::Row;

use crate::calls::{Failed, Prepared, What, object, word};
use crate::copies::Copies;
use crate::figures::Share;
use crate::ledger::Object;
use crate::node::Node;
use crate::numbers::*;
use crate::{Caller, Mediator, Refusal};

impl Mediator {
    /// Lets the pages hear of a call that went through.
    pub(crate) fn tell_pages(&mut self, number: u32, row: &Row, copies: &Copies) {
        if self.ledger.limit().is_none() {
            return;
        }
        let outer = copies.part(0);
        if row.read(&outer.bytes, "status").unwrap_or(0) != 0 {
            return;
        }
        let said = |name| outer.read(row, name) as u32;
        match number {
            ALLOCATE if said("hClass") == SHARED_PAGE => {
                self.pages.made((said("hRoot"), said("hObjectNew")));
            }
            DUPLICATE if self.pages.knows(object(&outer.bytes, [12, 16])) => {
                self.pages.made((word(&outer.bytes, 0), word(&outer.bytes, 8)));
            }
            FREE => self.pages.keep(|page| self.ledger.knows(page)),
            _ => {}
        }
        self.tell_pages_of_memory();
    }

    /// Lets the pages hear of how much is held.
    pub(crate) fn tell_pages_of_memory(&mut self) {
        let Some(limit) = self.ledger.limit() else { return };
        for card in self.pages.cards() {
            self.pages.tell(card, Share { limit, used: self.ledger.used(card) });
        }
    }

    /// `NV_ESC_RM_MAP_MEMORY`: of what may be a page of the driver's. The file that the client names is the one that it maps afterwards.
    pub(crate) fn map(&mut self, row: &Row, copies: &mut Copies, caller: &mut dyn Caller) -> Prepared {
        let page = object(&copies.part(0).bytes, [0, 8]);
        let Some(field) = row.field("fd").filter(|_| self.ledger.limit().is_some() && self.pages.knows(page))
        else {
            return self.simple(row, copies, caller);
        };
        let number = copies.part(0).read(row, "fd") as i32;
        let named = caller.descriptor(number).and_then(|file| self.machine.node_of(&file));
        if named != Some(Node::Control) {
            return Err(Refusal::Errno(libc::EINVAL).into());
        }
        let place = self.place(caller)?;
        let opened = place.workers.open(place.worker, c"/dev/nvidiactl");
        copies.lend(field, opened.map_err(|error| self.lost(caller.process(), error))?);
        Ok(What::Page { number })
    }

    /// The call has come to this; a page was mapped if it succeeded.
    pub(crate) fn mapped(
        &mut self,
        row: &Row,
        copies: &Copies,
        (number, result): (i32, i64),
        caller: &mut dyn Caller,
    ) -> Result<(), Failed> {
        let page = object(&copies.part(0).bytes, [0, 8]);
        let limit =
            self.ledger.limit().filter(|_| result == 0 && copies.part(0).read(row, "params.status") == 0);
        match limit.zip(copies.descriptors().last()) {
            Some((limit, lent)) => self.give_page(page, limit, (lent, number), caller),
            None => Ok(()),
        }
    }

    /// Puts our page's file in the place of the client's. `mapped`: ours, that the page was mapped on, and the number of the client's.
    fn give_page(
        &mut self,
        page: Object,
        limit: u64,
        (mapped, number): (&OwnedFd, i32),
        caller: &mut dyn Caller,
    ) -> Result<(), Failed> {
        let card = self.ledger.card(page).unwrap_or(0);
        let share = Share { limit, used: self.ledger.used(card) };
        let given = self.pages.file(&self.abi, card, share, mapped);
        if let Err(error) = given.and_then(|file| caller.replace(number, file)) {
            tracing::error!("the driver's shared page cannot be replaced: {error}");
            return Err(Refusal::Errno(libc::EIO).into());
        }
        Ok(())
    }
}
