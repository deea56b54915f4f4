//! Ticket constraints: what may run only while a ticket is held.

use crate::world::{Loss, Role, RscIx, Ticket, TicketCon, World};
use quorate_model::cib::TicketConstraint;

impl<'c> World<'c> {
    pub(super) fn unpack_ticket(&mut self, con: &'c TicketConstraint) {
        let ticket = match self.tickets.iter().position(|t| t.id == con.ticket) {
            Some(t) => t,
            None => {
                self.tickets.push(Ticket {
                    id: con.ticket.clone(),
                    granted: false,
                    standby: false,
                });
                self.tickets.len() - 1
            }
        };
        if let Some(id) = &con.resource {
            for r in self.resolve(id) {
                self.ticket_for(con, r, ticket, con.role.as_deref());
            }
        }
        for set in &con.sets {
            for member in &set.members {
                for r in self.resolve(member) {
                    self.ticket_for(con, r, ticket, set.role.as_deref().or(con.role.as_deref()));
                }
            }
        }
    }

    fn ticket_for(&mut self, con: &TicketConstraint, r: RscIx, ticket: usize, role: Option<&str>) {
        let role = role.and_then(Role::parse).unwrap_or(Role::Unknown);
        let role = if role == Role::Started {
            Role::Unknown
        } else {
            role
        };
        let loss = match con.loss_policy.as_deref() {
            Some("fence") if self.opts.fencing => Loss::Fence,
            Some("freeze") => Loss::Freeze,
            Some("demote") => Loss::Demote,
            Some("stop" | "fence") => Loss::Stop,
            _ => {
                if role == Role::Promoted {
                    Loss::Demote
                } else {
                    Loss::Stop
                }
            }
        };
        let ix = self.ticket_cons.len();
        self.ticket_cons.push(TicketCon {
            id: con.id.clone(),
            rsc: r,
            ticket,
            role,
            loss,
        });
        self.rscs[r].tickets.push(ix);
        self.ticket_effect(r, ix);
    }

    /// What a missing ticket means for a resource and all below it.
    fn ticket_effect(&mut self, r: RscIx, ix: usize) {
        let con = self.ticket_cons[ix].clone();
        let ticket = &self.tickets[con.ticket];
        let (granted, standby) = (ticket.granted, ticket.standby);
        if granted && !standby {
            return;
        }
        let children = self.rscs[r].children.clone();
        if !children.is_empty() {
            for c in children {
                self.ticket_effect(c, ix);
            }
            return;
        }
        let keeps_unpromoted = con.role == Role::Promoted && con.loss != Loss::Stop;
        if granted || self.rscs[r].running.is_empty() {
            if !keeps_unpromoted {
                self.ban_everywhere(r, "__no_ticket__");
            }
            return;
        }
        let role_matches = con.role == Role::Unknown || con.role == self.rscs[r].role;
        match con.loss {
            Loss::Stop => self.ban_everywhere(r, "__loss_of_ticket__"),
            // The promotion itself is forbidden when roles are given out.
            Loss::Demote if con.role == Role::Promoted => {}
            Loss::Demote => self.ban_everywhere(r, "__loss_of_ticket__"),
            Loss::Fence if role_matches => {
                self.ban_everywhere(r, "__loss_of_ticket__");
                for n in self.rscs[r].running.clone() {
                    self.fence_node(n, "deadman ticket was lost", false);
                }
            }
            Loss::Freeze if role_matches => {
                self.rscs[r].managed = false;
                self.rscs[r].blocked = true;
            }
            Loss::Fence | Loss::Freeze => {}
        }
    }
}
