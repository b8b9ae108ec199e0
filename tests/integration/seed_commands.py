"""The commands of the Panthera / Snapshot Safari use case of camera-trap-classifier, step by step, as they were run."""

from __future__ import annotations

_TRAIN_SPECIES = """
-train_tfr_path /host/data_hdd/data/tfr_files/species/
-train_tfr_pattern train
-val_tfr_path /host/data_hdd/data/tfr_files/species/
-val_tfr_pattern val
-test_tfr_path /host/data_hdd/data/tfr_files/species/
-test_tfr_pattern test
-class_mapping_json /host/data_hdd/data/common_label_mappings/species/label_mapping.json
"""
_TRAIN_EMPTY = _TRAIN_SPECIES.replace("/species/", "/empty_or_not/")
_SPECIES_LABELS = "-labels species count standing resting moving eating interacting babies"
_FOUR_GPUS = "-batch_size 128 -n_cpus 32 -n_gpus 4 -buffer_size 32768 -max_epochs 50"
_SAVED = "/host/data_hdd/runs/species/sa_and_ss/saves_all_labels/best_model.hdf5"
_PROCESSING = """
-process_images_in_parallel
-process_images_in_parallel_size 640
-processes_images_in_parallel_n_processes 16
-max_records_per_file 5000
"""

INVENTORY = """create_dataset_inventory.py csv -path /host/data_hdd/southern_africa/data/inventory_list_20180806.csv
-export_path /host/data_hdd/tfr_data/inventories/dataset_inventory_southern_africa.json
-capture_id_field capture_id
-image_fields dir
-label_fields empty species count standing resting moving eating interacting babies species_panthera
-meta_data_fields survey image location split_name
"""

DATASET_SPECIES = f"""create_dataset.py -inventory /host/data_hdd/tfr_data/inventories/dataset_inventory_southern_africa.json
-output_dir /host/data_hdd/tfr_data/species/southern_africa/
-image_save_side_max 500
-split_by_meta split_name
-remove_label_name empty empty
-remove_label_value empty vehicle
-image_root_path /host/data_hdd/southern_africa/data/
{_PROCESSING}"""

DATASET_EMPTY = f"""create_dataset.py -inventory /host/data_hdd/tfr_data/inventories/dataset_inventory_southern_africa.json
-output_dir /host/data_hdd/tfr_data/empty_or_not/southern_africa/
-image_save_side_max 500
-split_by_meta split_name
-balanced_sampling_min
-balanced_sampling_label empty
-image_root_path /host/data_hdd/southern_africa/data/
{_PROCESSING}"""

TRAIN_SPECIES = f"""train.py {_TRAIN_SPECIES}
-run_outputs_dir /host/data_hdd/runs/species/sa_and_ss/outputs_all_labels/
-model_save_dir /host/data_hdd/runs/species/sa_and_ss/saves_all_labels/
-model InceptionResNetV2 {_SPECIES_LABELS} {_FOUR_GPUS}
-color_augmentation full_randomized
-ignore_aspect_ratio
"""

TRAIN_EMPTY = f"""train.py {_TRAIN_EMPTY}
-run_outputs_dir /host/data_hdd/runs/empty_or_not/sa_and_ss/outputs/
-model_save_dir /host/data_hdd/runs/empty_or_not/sa_and_ss/saves/
-model ResNet18 -labels empty -batch_size 256 -n_cpus 8 -n_gpus 1 -buffer_size 32768 -max_epochs 30
-color_augmentation full_randomized
-ignore_aspect_ratio
"""

TRANSFER = f"""train.py
-train_tfr_path /host/data_hdd/data/tfr_files/species/west_africa/
-train_tfr_pattern train
-val_tfr_path /host/data_hdd/data/tfr_files/species/west_africa/
-val_tfr_pattern val
-test_tfr_path /host/data_hdd/data/tfr_files/species/west_africa/
-test_tfr_pattern test
-class_mapping_json /host/data_hdd/data/tfr_files/species/west_africa/label_mapping.json
-run_outputs_dir /host/data_hdd/runs/species/west_africa/outputs/
-model_save_dir /host/data_hdd/runs/species/west_africa/saves/
-model InceptionResNetV2 -labels species_panthera count {_FOUR_GPUS}
-color_augmentation full_randomized
-transfer_learning
-model_to_load {_SAVED}
-ignore_aspect_ratio
"""

FINE_TUNE = f"""train.py {_TRAIN_SPECIES}
-run_outputs_dir /host/data_hdd/runs/species/west_africa/outputs/
-model_save_dir /host/data_hdd/runs/species/west_africa/saves/
-model InceptionResNetV2 {_SPECIES_LABELS} {_FOUR_GPUS}
-color_augmentation full_randomized
-continue_training
-model_to_load {_SAVED}
-ignore_aspect_ratio
"""

FINE_TUNE_REBUILT = f"{FINE_TUNE} -rebuild_model -learning_rate 0.001"

AFTER_CRASH = f"""train.py {_TRAIN_SPECIES}
-run_outputs_dir /host/data_hdd/runs/species/sa_and_ss/outputs_all_labels/
-model_save_dir /host/data_hdd/runs/species/sa_and_ss/saves_all_labels/
-model InceptionResNetV2 {_SPECIES_LABELS} {_FOUR_GPUS}
-starting_epoch 10
-color_augmentation full_randomized
-continue_training
-rebuild_model
-model_to_load /host/data_hdd/runs/species/sa_and_ss/outputs_all_labels/
-ignore_aspect_ratio
"""

MORE_DATA = f"""train.py {_TRAIN_EMPTY}
-run_outputs_dir /host/data_hdd/runs/empty_or_not/sa_and_ss/outputs_continue/
-model_save_dir /host/data_hdd/runs/empty_or_not/sa_and_ss/saves_continue/
-model ResNet18 -labels empty -batch_size 256
-starting_epoch 30
-initial_learning_rate 0.001
-n_cpus 8 -n_gpus 1 -buffer_size 32768 -max_epochs 50
-color_augmentation full_randomized
-ignore_aspect_ratio
-continue_training
-model_to_load /host/data_hdd/runs/empty_or_not/sa_and_ss/outputs/
"""
