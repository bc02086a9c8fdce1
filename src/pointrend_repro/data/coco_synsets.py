"""The 80 categories of COCO and the WordNet synset under which LVIS lists each of them."""

from typing import NamedTuple


class CocoCategory(NamedTuple):
    """A COCO category: its (not contiguous) id, its name, and its synset in LVIS."""

    id: int
    name: str
    synset: str


# Source: data/coco_to_synset.json of the LVIS API (lvis-dataset/lvis-api), the official map for
# LVIS v0.5; detectron2's datasets/prepare_cocofied_lvis.py holds the same 80 pairs. In the
# published subset of 100 validation images two of them name no LVIS category: hot dog
# (frank.n.02) and oven (oven.n.01).
COCO_CATEGORIES = (
    CocoCategory(1, "person", "person.n.01"),
    CocoCategory(2, "bicycle", "bicycle.n.01"),
    CocoCategory(3, "car", "car.n.01"),
    CocoCategory(4, "motorcycle", "motorcycle.n.01"),
    CocoCategory(5, "airplane", "airplane.n.01"),
    CocoCategory(6, "bus", "bus.n.01"),
    CocoCategory(7, "train", "train.n.01"),
    CocoCategory(8, "truck", "truck.n.01"),
    CocoCategory(9, "boat", "boat.n.01"),
    CocoCategory(10, "traffic light", "traffic_light.n.01"),
    CocoCategory(11, "fire hydrant", "fireplug.n.01"),
    CocoCategory(13, "stop sign", "stop_sign.n.01"),
    CocoCategory(14, "parking meter", "parking_meter.n.01"),
    CocoCategory(15, "bench", "bench.n.01"),
    CocoCategory(16, "bird", "bird.n.01"),
    CocoCategory(17, "cat", "cat.n.01"),
    CocoCategory(18, "dog", "dog.n.01"),
    CocoCategory(19, "horse", "horse.n.01"),
    CocoCategory(20, "sheep", "sheep.n.01"),
    CocoCategory(21, "cow", "beef.n.01"),
    CocoCategory(22, "elephant", "elephant.n.01"),
    CocoCategory(23, "bear", "bear.n.01"),
    CocoCategory(24, "zebra", "zebra.n.01"),
    CocoCategory(25, "giraffe", "giraffe.n.01"),
    CocoCategory(27, "backpack", "backpack.n.01"),
    CocoCategory(28, "umbrella", "umbrella.n.01"),
    CocoCategory(31, "handbag", "bag.n.04"),
    CocoCategory(32, "tie", "necktie.n.01"),
    CocoCategory(33, "suitcase", "bag.n.06"),
    CocoCategory(34, "frisbee", "frisbee.n.01"),
    CocoCategory(35, "skis", "ski.n.01"),
    CocoCategory(36, "snowboard", "snowboard.n.01"),
    CocoCategory(37, "sports ball", "ball.n.06"),
    CocoCategory(38, "kite", "kite.n.03"),
    CocoCategory(39, "baseball bat", "baseball_bat.n.01"),
    CocoCategory(40, "baseball glove", "baseball_glove.n.01"),
    CocoCategory(41, "skateboard", "skateboard.n.01"),
    CocoCategory(42, "surfboard", "surfboard.n.01"),
    CocoCategory(43, "tennis racket", "tennis_racket.n.01"),
    CocoCategory(44, "bottle", "bottle.n.01"),
    CocoCategory(46, "wine glass", "wineglass.n.01"),
    CocoCategory(47, "cup", "cup.n.01"),
    CocoCategory(48, "fork", "fork.n.01"),
    CocoCategory(49, "knife", "knife.n.01"),
    CocoCategory(50, "spoon", "spoon.n.01"),
    CocoCategory(51, "bowl", "bowl.n.03"),
    CocoCategory(52, "banana", "banana.n.02"),
    CocoCategory(53, "apple", "apple.n.01"),
    CocoCategory(54, "sandwich", "sandwich.n.01"),
    CocoCategory(55, "orange", "orange.n.01"),
    CocoCategory(56, "broccoli", "broccoli.n.01"),
    CocoCategory(57, "carrot", "carrot.n.01"),
    CocoCategory(58, "hot dog", "frank.n.02"),
    CocoCategory(59, "pizza", "pizza.n.01"),
    CocoCategory(60, "donut", "doughnut.n.02"),
    CocoCategory(61, "cake", "cake.n.03"),
    CocoCategory(62, "chair", "chair.n.01"),
    CocoCategory(63, "couch", "sofa.n.01"),
    CocoCategory(64, "potted plant", "pot.n.04"),
    CocoCategory(65, "bed", "bed.n.01"),
    CocoCategory(67, "dining table", "dining_table.n.01"),
    CocoCategory(70, "toilet", "toilet.n.02"),
    CocoCategory(72, "tv", "television_receiver.n.01"),
    CocoCategory(73, "laptop", "laptop.n.01"),
    CocoCategory(74, "mouse", "mouse.n.04"),
    CocoCategory(75, "remote", "remote_control.n.01"),
    CocoCategory(76, "keyboard", "computer_keyboard.n.01"),
    CocoCategory(77, "cell phone", "cellular_telephone.n.01"),
    CocoCategory(78, "microwave", "microwave.n.02"),
    CocoCategory(79, "oven", "oven.n.01"),
    CocoCategory(80, "toaster", "toaster.n.02"),
    CocoCategory(81, "sink", "sink.n.01"),
    CocoCategory(82, "refrigerator", "electric_refrigerator.n.01"),
    CocoCategory(84, "book", "book.n.01"),
    CocoCategory(85, "clock", "clock.n.01"),
    CocoCategory(86, "vase", "vase.n.01"),
    CocoCategory(87, "scissors", "scissors.n.01"),
    CocoCategory(88, "teddy bear", "teddy.n.01"),
    CocoCategory(89, "hair drier", "hand_blower.n.01"),
    CocoCategory(90, "toothbrush", "toothbrush.n.01"),
)
