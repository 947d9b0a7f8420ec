"""Three ways to put a question to data that lies in many places, one folder each.

    peer_to_peer     every peer asks, all-reduces and decides: nobody is in charge
    master_worker    peer 0 asks and decides, the others answer
    map_reduce       a driver outside sends one job of stateless tasks for each question

What is trained is the same in all three. It comes in two halves that never meet:

    drive(ask)                     decides: an optimiser, written as if the data were here
    local.answer(question, value)  answers for one shard
    local.work(question)           says what that costs: dict(flops=..., nbytes=...)

and a model supplies `ask(question, value=None, op=np.add)`: all shards' answers, combined
with the associative and commutative `op`.
"""
