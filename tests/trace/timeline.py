"""Reads a timeline as Perfetto declares it, holds it to be sound, and prints what is in it as JSON.

Sound: every packet is of a known message without unknown fields; tracks are described before they are used, threads and streams
lie in processes; slices of a track end in the order of a stack and in time; each flow that ends has begun once.
"""
import json
import sys

from google.protobuf import unknown_fields
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb


def hold(condition, *what):
    if not condition:
        sys.exit(f"the timeline is not sound: {what}")


def no_unknown(message):
    hold(len(unknown_fields.UnknownFieldSet(message)) == 0, "unknown field", message)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                no_unknown(one)


def value_of(annotation):
    if annotation.array_values:
        return [value_of(one) for one in annotation.array_values]
    if annotation.dict_entries:
        return {one.name: value_of(one) for one in annotation.dict_entries}
    which = annotation.WhichOneof("value")
    return None if which is None else getattr(annotation, which)


def main(path):
    trace = pb.Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    no_unknown(trace)
    first = trace.packet[0]
    hold(first.HasField("clock_snapshot") and first.sequence_flags == pb.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED, "no clocks first")
    clocks = {clock.clock_id for clock in first.clock_snapshot.clocks}
    tracks, processes, slices, flows, events = {}, [], [], {}, []
    for packet in trace.packet[1:]:
        hold(packet.trusted_packet_sequence_id == first.trusted_packet_sequence_id, "another sequence")
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            hold(track.uuid not in tracks, "described twice", track)
            if track.HasField("process"):
                processes.append({"pid": track.process.pid, "name": track.process.process_name})
            else:
                hold(track.parent_uuid in tracks and tracks[track.parent_uuid].HasField("process"), "no process", track)
            if track.HasField("thread"):
                hold(track.thread.pid == tracks[track.parent_uuid].process.pid, "thread of another process", track)
            tracks[track.uuid] = track
        else:
            hold(packet.HasField("track_event") and packet.timestamp_clock_id in clocks, "no event", packet)
            hold(packet.track_event.track_uuid in tracks, "no track", packet)
            events.append((packet.timestamp, len(events), packet.track_event))
    open_slices = {}
    for time, _, event in sorted(events, key=lambda event: event[:2]):
        stack = open_slices.setdefault(event.track_uuid, [])
        if event.type == pb.TrackEvent.TYPE_SLICE_BEGIN:
            track = tracks[event.track_uuid]
            thread = track.thread if track.HasField("thread") else None
            found = {
                "name": event.name, "category": event.categories[0], "begin": time, "finished": False,
                "track": f"{thread.thread_name} {thread.tid}" if thread else track.name,
                "inside": stack[-1]["name"] if stack else None,
                "args": {one.name: value_of(one) for one in event.debug_annotations},
                "ends_flows": list(event.terminating_flow_ids),
            }
            for flow in event.flow_ids:
                hold(flow not in flows, "flow begun twice", flow)
                flows[flow] = event.name
            stack.append(found)
            slices.append(found)
        elif event.type == pb.TrackEvent.TYPE_SLICE_END:
            hold(stack, "end without a beginning", event)
            found = stack.pop()
            found.update(finished=True, duration=time - found["begin"])
            found["args"].update({one.name: value_of(one) for one in event.debug_annotations})
        else:
            hold(False, "a gap", event)
    for found in slices:
        for flow in found.pop("ends_flows"):
            hold(flow in flows, "flow that never began", found)
            found["queued_by"] = flows[flow]
    json.dump({"processes": processes, "slices": slices}, sys.stdout)


main(sys.argv[1])
