"""The main job, shown: simulated shoppers, warehouses, carriers and customers around the real services.

Everything here stays outside: it speaks to the services through their HTTP APIs and the topics, as a shop, a warehouse
system and a help desk would.
"""
