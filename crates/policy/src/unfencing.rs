//! Unfencing: when a node must be told (again) by its devices that it may use what they guard.
//!
//! A device that provides unfencing leaves behind, as attributes of the node, digests of the parameters
//! that it unfenced the node with. Parameters or a definition that have changed since make the node be
//! unfenced anew, and what requires unfencing there starts only after that.

use crate::action::flag;
use crate::digest;
use crate::world::{ActIx, NodeIx, RscIx, World};

impl World<'_> {
    /// Devices that unfence nodes, in the order of the configuration.
    fn unfencing_devices(&self) -> Vec<RscIx> {
        let mut leaves = Vec::new();
        for &r in &self.top {
            self.leaves(r, &mut leaves);
        }
        leaves.retain(|&r| {
            let provides = self.meta(r, "provides");
            self.rscs[r].fence_device
                && provides.is_some_and(|p| p.eq_ignore_ascii_case("unfencing"))
        });
        leaves
    }

    /// Notes what devices a node is (un)fenced with, and whether any has changed since the last time.
    pub(crate) fn note_devices(&mut self, fence: ActIx, n: NodeIx) {
        if !self.have_unfencing || self.actions[fence].meta.contains_key("digests_all") {
            return;
        }
        let (mut all, mut public) = (String::new(), String::new());
        let mut changed = false;
        for device in self.unfencing_devices() {
            let (full, shown) = self.device_digests(device, n);
            let name = format!("{}:{}:", self.rscs[device].id, self.cfg(device).agent);
            let entry = |sum: &str| format!("{name}{sum},");
            let known = |attribute: &str, entry: &str| {
                let value = self.nodes[n].attrs.get(attribute);
                value.map(|v| v.contains(entry))
            };
            let (full, shown) = (entry(&full), entry(&shown));
            // Without a note of the last time nothing can be said.
            changed |= known("#digests-all", &full) == Some(false)
                && known("#digests-secure", &shown) != Some(true);
            all.push_str(&full);
            public.push_str(&shown);
        }
        let action = &mut self.actions[fence];
        action.meta.insert("digests_all".to_owned(), all);
        action.meta.insert("digests_secure".to_owned(), public);
        let node = &self.nodes[n];
        let unfencing = action.meta.get("stonith_action").map(String::as_str) == Some("on")
            && node.online
            && !node.unclean;
        if changed && unfencing && self.can_fence(n) {
            self.actions[fence].flags &= !flag::OPTIONAL;
        }
    }

    /// Digests of a device's parameters: of all, and of those that are neither private nor meant for the
    /// cluster instead of the agent.
    fn device_digests(&self, device: RscIx, n: NodeIx) -> (String, String) {
        let params = self.digest_params(device, "monitor", 0, n);
        let mut public = params.clone();
        public.retain(|name, _| {
            !matches!(name.as_str(), "passwd" | "password") && !name.starts_with("pcmk_")
        });
        (digest::of(&params), digest::of(&public))
    }

    /// Has a node unfenced because a device of it is no longer what it was.
    pub(crate) fn device_changed(&mut self, device: RscIx, n: NodeIx, why: &str) {
        let node = &self.nodes[n];
        let ready = node.online && !node.unclean && !node.shutdown;
        if self.have_unfencing && self.rscs[device].fence_device && ready {
            self.fence_op(n, Some("on"), false, Some(why), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::simulate::{Request, simulate};

    fn cluster(agent: &str, password: &str) -> String {
        let digests = |p: &str| {
            let list = [("ip", "192.0.2.9"), ("passwd", p)];
            let with = list.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            let without = [("ip".to_owned(), "192.0.2.9".to_owned())].into();
            (crate::digest::of(&with), crate::digest::of(&without))
        };
        let (all, public) = digests("old");
        format!(
            r##"<cib validate-with="pacemaker-3.9" have-quorum="1" dc-uuid="1"><configuration>
<crm_config/><nodes><node id="1" uname="alpha"/></nodes><resources>
<primitive id="gate" class="stonith" type="{agent}">
<meta_attributes id="m"><nvpair id="p" name="provides" value="unfencing"/></meta_attributes>
<instance_attributes id="i"><nvpair id="i1" name="ip" value="192.0.2.9"/>
<nvpair id="i2" name="passwd" value="{password}"/></instance_attributes></primitive>
<primitive id="disk" class="ocf" provider="heartbeat" type="Dummy"/></resources><constraints/>
</configuration><status><node_state id="1" uname="alpha" in_ccm="true" crmd="online" join="member"
 expected="member"><transient_attributes id="1"><instance_attributes id="t">
<nvpair id="t1" name="#node-unfenced" value="1700000000"/>
<nvpair id="t2" name="#digests-all" value="gate:fence_san:{all},"/>
<nvpair id="t3" name="#digests-secure" value="gate:fence_san:{public},"/>
</instance_attributes></transient_attributes><lrm id="1"><lrm_resources>
<lrm_resource id="disk" class="ocf" provider="heartbeat" type="Dummy">
<lrm_rsc_op id="disk_last_0" operation="start" operation_key="disk_start_0" call-id="5" rc-code="0"
 op-status="0" interval="0" transition-key="1:1:0:a" transition-magic="0:0;1:1:0:a"/></lrm_resource>
<lrm_resource id="gate" class="stonith" type="{agent}">
<lrm_rsc_op id="gate_last_0" operation="start" operation_key="gate_start_0" call-id="6" rc-code="0"
 op-status="0" interval="0" transition-key="1:1:0:a" transition-magic="0:0;1:1:0:a"/></lrm_resource>
</lrm_resources></lrm></node_state></status></cib>"##
        )
    }

    fn plan(agent: &str, password: &str) -> String {
        let cib = quorate_model::xml::read::read(&cluster(agent, password)).expect("a valid CIB");
        let options = crate::Options {
            now: 1_700_000_600,
            ..crate::Options::default()
        };
        let request = Request {
            options,
            ..Request::default()
        };
        simulate(&cib, &request).text
    }

    #[test]
    fn a_node_whose_device_is_as_it_was_stays_unfenced() {
        assert!(!plan("fence_san", "old").contains("Fencing alpha (on)"));
    }

    #[test]
    fn a_new_password_alone_unfences_nothing() {
        assert!(!plan("fence_san", "new").contains("Fencing alpha (on)"));
    }

    #[test]
    fn another_agent_unfences_the_node_between_stop_and_start() {
        let text = plan("fence_lun", "old");
        let at = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("{what} in {text}"))
        };
        let fence = at("Fencing alpha (on)");
        assert!(at("disk            stop on alpha") < fence);
        assert!(fence < at("disk            start on alpha"));
    }
}
